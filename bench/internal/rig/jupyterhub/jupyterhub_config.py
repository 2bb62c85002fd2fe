"""Takes every setting from the file that the benchmark writes: {"Class": {"trait": value}}."""

import json
import os

c = get_config()  # noqa: F821 (JupyterHub puts it there)

with open(os.environ["PERIJOVE_BENCH_JUPYTERHUB"], encoding="utf-8") as file:
    for name, traits in json.load(file).items():
        for trait, value in traits.items():
            setattr(c[name], trait, value)
