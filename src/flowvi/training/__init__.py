"""How the parameters of a flow are trained."""
