"""q(z | x): posteriors trained once, on simulations, for every data set."""
