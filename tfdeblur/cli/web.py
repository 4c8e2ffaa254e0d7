"""`tfdeblur web`: see SUMMARY."""

import sys

from absl import flags

from tfdeblur.cli import common

SUMMARY = """Serves a page to try models on: drop or paste a photograph, compare before and after, download the
result, which is the one that `tfdeblur deblur` writes. --model may be given several times. One photograph is restored
at a time, others wait in a queue. Needs `pip install 'tfdeblur[web]'`; asks nothing of other machines."""


def _define(values, argv):
    del argv
    common.define_model(values, several=True)
    common.define_precision(values)
    flags.DEFINE_string(
        "host", "127.0.0.1", "Address to listen on; 0.0.0.0 lets every machine of the network in.", flag_values=values
    )
    flags.DEFINE_integer("port", 7860, "Port to listen on.", lower_bound=1, upper_bound=65535, flag_values=values)
    flags.DEFINE_float(
        "max_megapixels", 16.0, "Refuse larger photographs, by their header.", lower_bound=1e-6, flag_values=values
    )


def _run(values, arguments):
    del arguments
    from tfdeblur import runner, web
    from tfdeblur.inference import load

    paths = web.short_names(values.model)
    policy = runner.resolve_precision(values.precision, training=False)

    def load_deblurrers():
        runner.say(f"loading {', '.join(paths)} on {runner.device()}")
        return {name: load(path, policy, values.weights) for name, path in paths.items()}

    web.serve(load_deblurrers, values.host, values.port, values.max_megapixels)


def main(argv=None):
    return common.execute("web", SUMMARY, _define, _run, argv)


if __name__ == "__main__":
    sys.exit(main())
