"""Simulation-based calibration: `flowvi.calibrate` and what it returns."""
