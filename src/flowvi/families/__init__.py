"""The three families of deep generative models: flows, variational autoencoders, adversarial networks."""

from flowvi.families.family import Family as Family
from flowvi.families.family import Fitted as Fitted
from flowvi.families.flow import Flow as Flow
from flowvi.families.gan import GAN as GAN
from flowvi.families.vae import VAE as VAE
