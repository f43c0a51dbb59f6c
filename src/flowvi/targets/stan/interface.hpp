// A Stan program as the runtime sees it: no Stan Math here, so that runtime.cpp compiles in seconds.
#pragma once

#include <cstddef>
#include <memory>
#include <stan/io/var_context.hpp>
#include <string>
#include <vector>

namespace flowvi {

class Program {
 public:
  virtual ~Program() = default;
  virtual std::size_t dim() const = 0;
  virtual std::vector<std::string> unconstrained_names() const = 0;
  // Parameters, then transformed parameters, then generated quantities; each list is a prefix of the next.
  virtual std::vector<std::string> names(bool transformed, bool generated) const = 0;
  // Normalised, with the Jacobian of the constraining transform. Both throw what the Stan program throws.
  virtual double log_density(const double* z) const = 0;
  virtual double log_density_and_gradient(const double* z, double* gradient) const = 0;
  // On an exception, what was computed before it has been written to `values`.
  virtual void constrain(const double* z, unsigned seed, unsigned draw, double* values) const = 0;
  virtual void unconstrain(const double* parameters, double* z) const = 0;
};

std::unique_ptr<Program> create(stan::io::var_context& data, unsigned seed);

}  // namespace flowvi
