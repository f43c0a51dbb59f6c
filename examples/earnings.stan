// Log earnings on height and sex, with heavy tails: a few people earn far less or more than their like.
data {
  int<lower=0> N;
  vector<lower=0>[N] earn;
  vector[N] height;                    // inches
  vector<lower=0, upper=1>[N] male;
}
transformed data {
  vector[N] log_earn = log(earn);
  vector[N] z = (height - mean(height)) / sd(height);
}
parameters {
  real alpha;
  real beta_height;
  real beta_male;
  real<lower=0> sigma;
  real<lower=1> nu;
}
model {
  alpha ~ normal(10, 2);
  beta_height ~ normal(0, 1);
  beta_male ~ normal(0, 1);
  sigma ~ normal(0, 1);
  nu ~ gamma(2, 0.1);
  log_earn ~ student_t(nu, alpha + beta_height * z + beta_male * male, sigma);
}
generated quantities {
  real ratio = exp(beta_male);         // of median earnings, men to women of the same height
}
