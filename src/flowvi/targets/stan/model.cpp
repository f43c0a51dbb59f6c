// The translation unit of one Stan program: the class that stanc wrote (program.hpp), behind flowvi::Program.
#include "program.hpp"

#include <algorithm>

#include "interface.hpp"

namespace {

Eigen::VectorXd vector(const double* x, std::size_t size) { return Eigen::Map<const Eigen::VectorXd>(x, size); }

// Every thread needs a tape of its own, kept for as long as the thread lives; for values too, since Stan's solvers
// differentiate inside.
void prepare_thread() { static thread_local stan::math::ChainableStack tape; }

class StanProgram : public flowvi::Program {
 public:
  explicit StanProgram(stan::model::model_base& model) : model_(&model), parameters_(names(false, false).size()) {}

  std::size_t dim() const override { return model_->num_params_r(); }

  std::vector<std::string> unconstrained_names() const override {
    std::vector<std::string> names;
    model_->unconstrained_param_names(names, false, false);
    return names;
  }

  std::vector<std::string> names(bool transformed, bool generated) const override {
    std::vector<std::string> names;
    model_->constrained_param_names(names, transformed, generated);
    return names;
  }

  double log_density(const double* z) const override {
    prepare_thread();
    Eigen::VectorXd point = vector(z, dim());
    return model_->log_prob_jacobian(point, nullptr);
  }

  double log_density_and_gradient(const double* z, double* gradient) const override {
    prepare_thread();
    // Returns the tape's memory on the way out, also when the program throws.
    stan::math::nested_rev_autodiff nested;
    Eigen::Matrix<stan::math::var, -1, 1> point = vector(z, dim()).template cast<stan::math::var>();
    stan::math::var value = model_->log_prob_jacobian(point, nullptr);
    value.grad();
    for (std::size_t i = 0; i < dim(); ++i) gradient[i] = point[i].adj();
    return value.val();
  }

  void constrain(const double* z, unsigned seed, unsigned draw, double* values) const override {
    prepare_thread();
    stan::rng_t rng = stan::services::util::create_rng(seed, draw);
    Eigen::VectorXd point = vector(z, dim());
    Eigen::VectorXd written;
    try {
      model_->write_array(rng, point, written, true, true, nullptr);
    } catch (...) {
      std::copy(written.begin(), written.end(), values);
      throw;
    }
    std::copy(written.begin(), written.end(), values);
  }

  void unconstrain(const double* parameters, double* z) const override {
    prepare_thread();
    Eigen::VectorXd point;
    model_->unconstrain_array(vector(parameters, parameters_), point, nullptr);
    std::copy(point.begin(), point.end(), z);
  }

 private:
  std::unique_ptr<const stan::model::model_base> model_;
  std::size_t parameters_;
};

}  // namespace

std::unique_ptr<flowvi::Program> flowvi::create(stan::io::var_context& data, unsigned seed) {
  return std::make_unique<StanProgram>(new_model(data, seed, nullptr));
}
