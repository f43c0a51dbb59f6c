// A regression that refuses some of its parameter space, in every way a program can.
data {
  int<lower=1> N;
  int<lower=1> K;
  matrix[N, K] X;
  vector[N] y;
}
parameters {
  real alpha;
  vector[K] beta;
  real<lower=0> sigma;
}
model {
  array[2] real short_array = {0, 1};
  if (alpha > 100) reject("alpha is beyond 100: ", alpha);
  if (alpha < -100) fatal_error("alpha is below -100: ", alpha);
  if (beta[1] > 100) target += short_array[3 + N - N];
  alpha ~ normal(0, 3);
  beta ~ student_t(4, 0, 1);
  sigma ~ exponential(0.5);
  y ~ normal(alpha + X * beta, sigma);
}
generated quantities {
  vector[N] y_rep;
  if (alpha > 50) reject("no simulation with alpha beyond 50");
  for (n in 1:N) y_rep[n] = normal_rng(alpha + X[n] * beta, sigma);
}
