"""The errors flowvi raises: each says what was wrong, where, and what to do."""

from __future__ import annotations


class FlowviError(Exception):
    """Base of every error flowvi raises on purpose."""


class ArgumentError(FlowviError, ValueError):
    """An argument that says how to fit is of the wrong type or out of range."""


class ModelError(FlowviError):
    """The model cannot be fitted as it stands: no parameters, a discrete latent, a clashing argument."""


class DensityError(FlowviError):
    """The log density is not a finite scalar of the parameters, or its gradient is wrong."""


class SupportError(FlowviError):
    """A support is unknown, or does not fit the shape or values of its parameter."""


class DataError(FlowviError):
    """Data are missing, unreadable, or of the wrong shape or type."""


class FlowError(FlowviError):
    """A flow cannot be built as asked, or does not fit the dimension or condition it is used with."""


class PrecisionError(FlowviError):
    """Double precision is needed but JAX traces in single precision."""


class DependencyError(FlowviError):
    """An optional package or a compiler is missing."""


class CannotSimulateError(FlowviError):
    """The model has no way to simulate what was asked for."""


class SaveError(FlowviError):
    """A posterior could not be written to, or read from, a directory."""


class CheckpointError(FlowviError):
    """A checkpoint cannot be written, or belongs to another fit."""


class NoDensityError(FlowviError):
    """A density was asked of a model whose draws have none that can be computed."""


class NoModelError(FlowviError):
    """A posterior was loaded without its model, which what was asked for needs."""


class SamplingError(FlowviError):
    """More draws cannot be had the way the posterior's own were."""
