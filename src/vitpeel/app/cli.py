"""`vitpeel-app`: reads the configuration and the run's results, then serves the page."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import yaml

from vitpeel.app import results
from vitpeel.config import Settings, load
from vitpeel.errors import ConfigError, InputError, VitpeelError

LOOPBACK = "127.0.0.1"
_WAITING = 20  # visitors in the queue


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until interrupted; what is missing is one line on standard error."""
    chosen = _parser().parse_args(arguments)
    try:
        offer = results.read(settings_of(chosen.configfile))
        signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # so that uploads are deleted then too
        with tempfile.TemporaryDirectory(prefix="vitpeel-app-") as kept:
            _environment(Path(kept))
            _serve(offer, chosen.host, chosen.port)
    except VitpeelError as refusal:
        sys.exit(str(refusal))


def settings_of(path: Path) -> Settings:
    """The configuration in a file.  Raises ConfigError."""
    try:
        mapping = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}). Name one with --configfile.") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML ({error}). Correct it.") from error
    if not isinstance(mapping, dict):
        raise ConfigError(f"{path}: no mapping of settings. Name a configuration such as config/config.yaml.")
    return load(mapping, Path.cwd(), str(path))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vitpeel-app", description="The analyses of a run for any picture, in a browser."
    )
    parser.add_argument(
        "--configfile",
        type=Path,
        default=Path("config/config.yaml"),
        help="of the run (default: %(default)s)",
    )
    parser.add_argument(
        "--host",
        default=LOOPBACK,
        help="address to listen on (default: %(default)s, this machine alone; there is no password)",
    )
    parser.add_argument("--port", type=int, default=7860, help="(default: %(default)s)")
    return parser


def _environment(kept: Path) -> None:
    """Before Gradio is imported: no word to anybody's server, and uploads where they vanish at the end."""
    os.environ.update(
        GRADIO_ANALYTICS_ENABLED="False",
        GRADIO_TEMP_DIR=str(kept),
        HF_HUB_OFFLINE="1",
        HF_HUB_DISABLE_TELEMETRY="1",
    )


def _serve(offer: results.Offer, host: str, port: int) -> None:
    from vitpeel.app import look, page
    from vitpeel.app.engines import Engines
    from vitpeel.app.uploads import MOST_BYTES

    engines, clip = Engines(offer), offer.settings.clip
    built = page.build(offer, engines)
    built.queue(max_size=_WAITING, default_concurrency_limit=2, api_open=False)
    shown = [offer.pictures[name].resolve().as_posix() for name in offer.examples]
    try:
        built.launch(
            server_name=host,
            server_port=port,
            share=False,
            inbrowser=False,
            quiet=True,
            show_error=False,
            ssr_mode=False,
            mcp_server=False,
            enable_monitoring=False,
            max_file_size=MOST_BYTES,
            allowed_paths=shown,
            footer_links=[],
            theme=look.theme(),
            css=look.CSS,
            prevent_thread_lock=True,
        )
    except OSError as error:
        raise InputError(f"port {port} of {host}: {error}. Take another one with --port.") from error
    print(f"vitpeel-app: http://{host}:{port}  (Ctrl+C ends it)", flush=True)
    engines.warm(None if clip is None else clip.analyses.model)
    built.block_thread()
