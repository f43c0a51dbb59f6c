// Every kind of shape, with a density that tells its entries apart.
functions {
  vector distance_to(vector x, real goal) {
    return x - rep_vector(goal, 1);
  }
}
data {
  int<lower=1> K;
  matrix[2, 3] W;
  array[2, 3] int C;
}
parameters {
  simplex[K] p;
  cholesky_factor_corr[3] L;
  ordered[3] cut;
  matrix[2, 3] m;
  array[2] vector[3] av;
  array[2] matrix[2, 3] am;
  tuple(real, vector[2]) t;
  complex w;
  vector[0] nothing;
}
transformed parameters {
  vector[1] root = solve_powell(distance_to, [0.1]', cut[1]);
}
model {
  for (k in 1:K) target += k * log(p[k]);
  target += -dot_self(cut) + 3 * L[2, 1] + 5 * L[3, 1] + 7 * log(L[3, 3]);
  target += -sum(square(m - W)) - 0.5 * dot_self(av[1]) - 2 * dot_self(av[2]);
  for (i in 1:2) target += -i * sum(square(am[i] - W));
  target += -square(t.1) - 3 * dot_self(t.2) - norm(w);
}
generated quantities {
  matrix[2, 3] W_again = W;
  array[2, 3] int C_again = C;
  real m21 = m[2, 1];
  real am213 = am[2][1, 3];
}
