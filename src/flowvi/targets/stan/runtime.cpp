// What Python and XLA call: models by handle, batches of points over all cores, exceptions turned into values.
//
// A handle is an index that is never used twice, so a stale one is an error and not a crash.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <complex>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <mutex>
#include <numeric>
#include <stan/io/validate_dims.hpp>
#include <stdexcept>
#include <system_error>
#include <thread>

#include "interface.hpp"
#include "xla/ffi/api/ffi.h"

namespace {

namespace ffi = xla::ffi;
using Model = std::shared_ptr<const flowvi::Program>;
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// One variable of the data block as Python passes it; values are column-major, as Stan reads them.
struct Variable {
  const char* name;
  std::int32_t is_integer;
  std::int32_t rank;
  const std::int64_t* shape;
  const void* values;
};

class Data : public stan::io::var_context {
 public:
  Data(const Variable* variables, std::size_t count) {
    for (const Variable* v = variables; v != variables + count; ++v) {
      std::vector<std::size_t> shape(v->shape, v->shape + v->rank);
      auto size = std::accumulate(shape.begin(), shape.end(), std::size_t{1}, std::multiplies<>());
      shapes_[v->name] = shape;
      if (v->is_integer) {
        auto values = static_cast<const std::int32_t*>(v->values);
        integers_[v->name].assign(values, values + size);
      } else {
        auto values = static_cast<const double*>(v->values);
        reals_[v->name].assign(values, values + size);
      }
    }
  }

  bool contains_i(const std::string& name) const override { return integers_.count(name) > 0; }
  bool contains_r(const std::string& name) const override { return shapes_.count(name) > 0; }

  std::vector<int> vals_i(const std::string& name) const override { return find(integers_, name); }
  std::vector<double> vals_r(const std::string& name) const override {
    if (!contains_i(name)) return find(reals_, name);
    const std::vector<int>& values = integers_.at(name);
    return {values.begin(), values.end()};
  }
  std::vector<std::complex<double>> vals_c(const std::string& name) const override {
    std::vector<double> parts = vals_r(name);
    std::vector<std::complex<double>> values(parts.size() / 2);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = {parts[i], parts[i + values.size()]};
    return values;
  }

  std::vector<std::size_t> dims_i(const std::string& name) const override { return find(shapes_, name); }
  std::vector<std::size_t> dims_r(const std::string& name) const override { return find(shapes_, name); }
  void names_i(std::vector<std::string>& names) const override { keys(integers_, names); }
  void names_r(std::vector<std::string>& names) const override { keys(reals_, names); }
  void validate_dims(const std::string& stage, const std::string& name, const std::string& type,
                     const std::vector<std::size_t>& shape) const override {
    stan::io::validate_dims(*this, stage, name, type, shape);
  }

 private:
  template <typename T>
  static T find(const std::map<std::string, T>& map, const std::string& name) {
    auto entry = map.find(name);
    return entry == map.end() ? T{} : entry->second;
  }
  template <typename T>
  static void keys(const std::map<std::string, T>& map, std::vector<std::string>& names) {
    names.clear();
    for (const auto& entry : map) names.push_back(entry.first);
  }

  std::map<std::string, std::vector<std::size_t>> shapes_;
  std::map<std::string, std::vector<int>> integers_;
  std::map<std::string, std::vector<double>> reals_;
};

class Registry {
 public:
  std::int32_t add(Model model) {
    std::lock_guard<std::mutex> lock(mutex_);
    models_[next_] = std::move(model);
    return next_++;
  }
  Model find(std::int32_t handle) {
    std::lock_guard<std::mutex> lock(mutex_);
    auto entry = models_.find(handle);
    if (entry == models_.end()) throw std::out_of_range("this Stan model is gone: the target it belonged to was deleted");
    return entry->second;
  }
  void remove(std::int32_t handle) {
    std::lock_guard<std::mutex> lock(mutex_);
    models_.erase(handle);
  }

 private:
  std::mutex mutex_;
  std::int32_t next_ = 0;
  std::map<std::int32_t, Model> models_;
};

// Never destroyed: XLA's threads may outlive static destructors.
Registry& registry() {
  static Registry* instance = new Registry;
  return *instance;
}

// The first exception of a batch, and how many points threw.
class Report {
 public:
  void add(const char* message) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (count_++ == 0) first_ = message;
  }
  std::int64_t count() const { return count_; }
  void copy_to(char* buffer, std::size_t capacity) const {
    if (capacity > 0) std::snprintf(buffer, capacity, "%s", first_.c_str());
  }

 private:
  std::mutex mutex_;
  std::int64_t count_ = 0;
  std::string first_;
};

// Calls body(0), ..., body(n - 1), with helpers started by schedule(task) when the first call shows they pay.
//
// Helpers take points until none is left. The caller takes points too and waits for points, never for helpers: one
// that starts late finds nothing to do, so threads that are all busy elsewhere cannot block it.
template <typename Body, typename Schedule>
void for_each_point(std::size_t n, std::size_t threads, const Body& body, const Schedule& schedule) {
  struct State {
    std::atomic<std::size_t> next{1};
    std::size_t done = 0;
    std::mutex mutex;
    std::condition_variable all_done;
  };
  constexpr double kHelperPays = 50e-6;

  if (n == 0) return;
  const auto start = std::chrono::steady_clock::now();
  body(0);
  const std::chrono::duration<double> first = std::chrono::steady_clock::now() - start;
  if (threads < 2 || first.count() * static_cast<double>(n - 1) < kHelperPays) {
    for (std::size_t i = 1; i < n; ++i) body(i);
    return;
  }

  auto state = std::make_shared<State>();
  auto work = [state, &body, n] {
    std::size_t mine = 0;
    for (std::size_t i; (i = state->next.fetch_add(1)) < n; ++mine) body(i);
    if (mine == 0) return;
    std::lock_guard<std::mutex> lock(state->mutex);
    state->done += mine;
    if (state->done == n - 1) state->all_done.notify_all();
  };
  for (std::size_t t = 1; t < std::min(threads, n - 1); ++t) schedule(work);
  work();
  std::unique_lock<std::mutex> lock(state->mutex);
  state->all_done.wait(lock, [&] { return state->done == n - 1; });
}

template <typename Body>
void on_own_threads(std::size_t n, const Body& body) {
  std::vector<std::thread> helpers;
  const std::size_t threads = std::thread::hardware_concurrency();
  for_each_point(n, threads, body, [&](const auto& work) {
    try {
      helpers.emplace_back(work);
    } catch (const std::system_error&) {  // no thread to be had: those there are do its work
    }
  });
  for (std::thread& helper : helpers) helper.join();
}

// Runs `body`; false, with the message in the report, if it threw.
template <typename Body>
bool attempt(Report& report, const Body& body) {
  try {
    body();
    return true;
  } catch (const std::exception& error) {
    report.add(error.what());
  } catch (...) {
    report.add("unknown C++ exception");
  }
  return false;
}

double evaluate(const flowvi::Program& model, const double* z, double* gradient, Report& report) {
  const std::size_t dim = model.dim();
  const auto everywhere = [&](double x) {
    if (gradient) std::fill(gradient, gradient + dim, x);
  };
  if (std::any_of(z, z + dim, [](double x) { return std::isnan(x); })) {
    report.add("a coordinate of the point is NaN");
    everywhere(kNaN);
    return kNaN;
  }
  double value = kNaN;
  const bool completed = attempt(report, [&] {
    try {
      value = gradient ? model.log_density_and_gradient(z, gradient) : model.log_density(z);
    } catch (const std::domain_error& error) {  // Stan's word for a rejected point
      report.add(error.what());
      everywhere(0.0);
      value = -std::numeric_limits<double>::infinity();
    }
  });
  if (!completed) everywhere(kNaN);
  return value;
}

// A handle per point, as vmap broadcasts it; in nearly every call they are all the same.
std::vector<Model> find_all(const std::int32_t* handles, std::size_t n) {
  std::vector<Model> models(n);
  for (std::size_t i = 0; i < n; ++i) {
    models[i] = i > 0 && handles[i] == handles[i - 1] ? models[i - 1] : registry().find(handles[i]);
  }
  return models;
}

using Handles = ffi::Buffer<ffi::S32>;
using Doubles = ffi::Buffer<ffi::F64>;

ffi::Error evaluate_batch(ffi::ThreadPool& pool, const Handles& handles, const Doubles& z, double* values,
                          double* gradients) {
  const std::size_t dim = z.dimensions().back();
  const std::size_t n = handles.element_count();
  std::vector<Model> models;
  try {
    models = find_all(handles.typed_data(), n);
  } catch (const std::exception& error) {
    return ffi::Error::InvalidArgument(error.what());
  }
  for (const Model& model : models) {
    if (model->dim() != dim) return ffi::Error::InvalidArgument("the point has not the length of the Stan model");
  }
  Report unread;
  const auto body = [&](std::size_t i) {
    double* gradient = gradients ? gradients + i * dim : nullptr;
    values[i] = evaluate(*models[i], z.typed_data() + i * dim, gradient, unread);
  };
  for_each_point(n, pool.num_threads(), body, [&](auto work) { pool.Schedule(std::move(work)); });
  return ffi::Error::Success();
}

ffi::Error value(ffi::ThreadPool pool, Handles handles, Doubles z, ffi::Result<Doubles> values) {
  return evaluate_batch(pool, handles, z, values->typed_data(), nullptr);
}

ffi::Error value_and_gradient(ffi::ThreadPool pool, Handles handles, Doubles z, ffi::Result<Doubles> values,
                              ffi::Result<Doubles> gradients) {
  return evaluate_batch(pool, handles, z, values->typed_data(), gradients->typed_data());
}

// Runs `body`, returns its result, or -1 and the message of what it threw.
template <typename Body>
std::int64_t guarded(char* message, std::size_t capacity, const Body& body) {
  Report report;
  std::int64_t result = -1;
  if (!attempt(report, [&] { result = body(); })) report.copy_to(message, capacity);
  return result;
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

std::int64_t flowvi_create(const Variable* variables, std::int64_t count, std::uint32_t seed, char* message,
                           std::size_t capacity) {
  return guarded(message, capacity, [&] {
    Data data(variables, count);
    return registry().add(flowvi::create(data, seed));
  });
}

void flowvi_free(std::int32_t handle) { registry().remove(handle); }

// Newline-separated; level 0: unconstrained, 1: parameters, 2: and transformed parameters, 3: and generated quantities.
// Returns the length; writes at most `capacity` characters.
std::int64_t flowvi_names(std::int32_t handle, std::int32_t level, char* text, std::size_t capacity) {
  return guarded(text, capacity, [&] {
    Model model = registry().find(handle);
    std::string joined;
    for (const std::string& name : level == 0 ? model->unconstrained_names() : model->names(level > 1, level > 2)) {
      joined += name + "\n";
    }
    if (capacity > 0) std::memcpy(text, joined.data(), std::min(capacity, joined.size()));
    return static_cast<std::int64_t>(joined.size());
  });
}

// `gradients` may be null. Returns the number of points that threw, with the first message.
std::int64_t flowvi_evaluate(std::int32_t handle, std::int64_t n, const double* z, double* values, double* gradients,
                             char* message, std::size_t capacity) {
  return guarded(message, capacity, [&] {
    Model model = registry().find(handle);
    const std::size_t dim = model->dim();
    Report report;
    on_own_threads(n, [&](std::size_t i) {
      values[i] = evaluate(*model, z + i * dim, gradients ? gradients + i * dim : nullptr, report);
    });
    report.copy_to(message, capacity);
    return report.count();
  });
}

// Rows of `values` have `width` entries, already filled with NaN, which is what an exception leaves behind it.
std::int64_t flowvi_constrain(std::int32_t handle, std::int64_t n, std::int64_t width, const double* z,
                              std::uint32_t seed, double* values, char* message, std::size_t capacity) {
  return guarded(message, capacity, [&] {
    Model model = registry().find(handle);
    Report report;
    on_own_threads(n, [&](std::size_t i) {
      attempt(report, [&] {
        model->constrain(z + i * model->dim(), seed, static_cast<unsigned>(i), values + i * width);
      });
    });
    report.copy_to(message, capacity);
    return report.count();
  });
}

std::int64_t flowvi_unconstrain(std::int32_t handle, std::int64_t n, std::int64_t width, const double* parameters,
                                double* z, char* message, std::size_t capacity) {
  return guarded(message, capacity, [&] {
    Model model = registry().find(handle);
    Report report;
    on_own_threads(n, [&](std::size_t i) {
      attempt(report, [&] { model->unconstrain(parameters + i * width, z + i * model->dim()); });
    });
    report.copy_to(message, capacity);
    return report.count();
  });
}

XLA_FFI_DEFINE_HANDLER_SYMBOL(flowvi_value, value,
                              ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<Handles>().Arg<Doubles>().Ret<Doubles>());

XLA_FFI_DEFINE_HANDLER_SYMBOL(flowvi_value_and_gradient, value_and_gradient,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Handles>()
                                  .Arg<Doubles>()
                                  .Ret<Doubles>()
                                  .Ret<Doubles>());

}  // extern "C"
#pragma GCC visibility pop
