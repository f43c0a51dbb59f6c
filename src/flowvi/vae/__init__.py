"""Variational autoencoders whose posterior is a flow: parts, training, bounds, and data to try them on."""

from flowvi.vae.autoencoder import Autoencoder as Autoencoder
from flowvi.vae.autoencoder import autoencoder as autoencoder
from flowvi.vae.binarise import binarise as binarise
from flowvi.vae.bounds import Bounds as Bounds
from flowvi.vae.bounds import bounds as bounds
from flowvi.vae.digits import digits as digits
from flowvi.vae.encoder import Encoder as Encoder
from flowvi.vae.image_files import read_images as read_images
from flowvi.vae.likelihoods import Bernoulli as Bernoulli
from flowvi.vae.likelihoods import Categorical as Categorical
from flowvi.vae.likelihoods import DiscretisedLogistic as DiscretisedLogistic
from flowvi.vae.likelihoods import Gaussian as Gaussian
from flowvi.vae.likelihoods import Likelihood as Likelihood
from flowvi.vae.likelihoods import Poisson as Poisson
from flowvi.vae.posteriors import posterior_flow as posterior_flow
from flowvi.vae.train import TrainedAutoencoder as TrainedAutoencoder
from flowvi.vae.train import train as train
