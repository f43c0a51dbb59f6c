data {
  int N;
}
parameters {
  real x;
}
model {
  x ~ normal(0, 1);
  if (N == 1)
    reject("N is one");
}
generated quantities {
  real shifted = x + 1;
}
