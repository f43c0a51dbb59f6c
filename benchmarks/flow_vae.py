"""Autoencoders whose posteriors differ by their flow alone, on binarised images.

    python benchmarks/flow_vae.py [--data FILE|FOLDER] [--steps 20000] [--seeds 2] [--posteriors NAME ...]
                                  [--latent 40] [--width 256] [--samples 500] [--test 10000]
                                  [--json FILE] [--markdown FILE]

Trains an autoencoder with each posterior from the same networks and batches, then bounds log p(x) of each
test image: the ELBO and the importance-weighted bound of --samples draws. Images differ more than posteriors
do, so that posteriors are compared by the mean of the difference image by image, with its standard error.
--data is a folder with MNIST's or Fashion-MNIST's idx files (train-images-idx3-ubyte, t10k-images-idx3-ubyte,
gzipped or not) or an npz file with x_train and x_test; without it, scikit-learn's digits, of which a fifth is
the test. Results are kept in --json as they come, bounds of each image in a folder beside it; a run that
stopped goes on from there.

Source: Rezende & Mohamed 2015 (arXiv 1505.05770), section 6.2 and figure 4.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from flow_vae_table import Record, file_name, markdown
from flowvi import vae

POSTERIORS: dict[str, tuple[str, int | None]] = {
    "diagonal": ("diagonal", None),
    "planar 10": ("planar", 10),
    "planar 80": ("planar", 80),
    "iaf 8": ("iaf", 8),
    "iaf 16": ("iaf", 16),
    "real_nvp 8": ("real_nvp", 8),
    "real_nvp 16": ("real_nvp", 16),
    "sylvester 4": ("sylvester", 4),
    "neural_spline 4": ("neural_spline", 4),
}
"""Name -> the posterior and its number of maps."""


def main() -> None:
    """Run what is asked for; print the table."""
    options = parse()
    training, test = images(options.data, options.test)
    data = "digits" if options.data is None else options.data.stem
    resumed = options.json is not None and options.json.exists()
    records: list[Record] = json.loads(options.json.read_text()) if resumed else []
    folder = None if options.json is None else options.json.with_suffix(".bounds")
    of_images: dict[str, np.ndarray] = {}
    for name, seed in plan(options, records, data):
        record, each = trained(name, seed, training, test, options)
        records.append({"data": data, **record})
        print(json.dumps(records[-1]), file=sys.stderr, flush=True)
        of_images[file_name(records[-1])] = each
        if folder is not None:
            folder.mkdir(exist_ok=True)
            np.save(folder / file_name(records[-1]), each)
            options.json.write_text(json.dumps(records, indent=1))
    if folder is not None and folder.exists():
        of_images |= {path.name: np.load(path) for path in folder.glob("*.npy")}
    text = markdown(records, of_images)
    print(text)
    if options.markdown:
        options.markdown.write_text(text + "\n")


def parse() -> argparse.Namespace:
    """The command line."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--data", type=Path, help="where the images are")
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, default=2, help="how many, from 0")
    parser.add_argument("--posteriors", nargs="+", default=list(POSTERIORS), choices=POSTERIORS)
    parser.add_argument("--latent", type=int, default=40)
    parser.add_argument("--width", type=int, default=256, help="of encoder and decoder")
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--samples", type=int, default=500, help="of the posterior of each test image")
    parser.add_argument("--test", type=int, default=10_000, help="test images at most, the first ones")
    parser.add_argument("--json", type=Path, help="where to keep the results")
    parser.add_argument("--markdown", type=Path, help="where to write the table")
    return parser.parse_args()


def images(path: Path | None, test: int) -> tuple[np.ndarray, np.ndarray]:
    """Binarised rows to train on and to test."""
    if path is None:
        digits = vae.digits()
        order = np.random.default_rng(0).permutation(len(digits))
        held = len(digits) // 5
        parts, white = (digits[order[held:]], digits[order[:held]]), 16
    elif path.is_dir():
        parts, white = tuple(vae.read_images(idx_file(path, stem)) for stem in ("train", "t10k")), 255
    else:
        parts, white = tuple(vae.read_images(path, name) for name in ("x_train", "x_test")), 255
    first, second = (vae.binarise(part, white=white, seed=seed) for seed, part in enumerate(parts))
    return first, second[:test]


def idx_file(folder: Path, stem: str) -> Path:
    """The file of images, by either of the names it goes by, gzipped or not."""
    names = [f"{stem}-images{mark}idx3-ubyte{end}" for mark in "-." for end in ("", ".gz")]
    found = [folder / name for name in names if (folder / name).exists()]
    if not found:
        sys.exit(f"{folder} has none of {', '.join(names)}.")
    return found[0]


def plan(options: argparse.Namespace, records: list[Record], data: str) -> Iterator[tuple[str, int]]:
    """Posterior and seed of every training that is not done."""
    done = {(r["data"], r["posterior"], r["seed"], r["steps"]) for r in records}
    for seed in range(options.seeds):
        for name in options.posteriors:
            if (data, name, seed, options.steps) not in done:
                yield name, seed


def trained(
    name: str, seed: int, training: np.ndarray, test: np.ndarray, options: argparse.Namespace
) -> tuple[Record, np.ndarray]:
    """The numbers of one training, and both bounds of each test image, (2, images)."""
    posterior, length = POSTERIORS[name]
    model = vae.autoencoder(
        training, key=seed, posterior=posterior, length=length, latent=options.latent, width=options.width
    )
    start = time.perf_counter()
    result = vae.train(
        model,
        training,
        seed=seed,
        steps=options.steps,
        batch=options.batch,
        progress=True,
    )
    seconds = time.perf_counter() - start
    of_images = vae.bounds(result.model, test, key=seed, samples=options.samples)
    record = {
        "posterior": name,
        "seed": seed,
        "steps": options.steps,
        "samples": options.samples,
        "elbo": of_images.elbo.mean(),
        "log_prob": of_images.log_prob.mean(),
        "skipped": result.skipped,
        "seconds": seconds,
    }
    return record, np.stack([of_images.elbo, of_images.log_prob])


if __name__ == "__main__":
    main()
