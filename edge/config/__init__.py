"""The configuration: one TOML file to frozen dataclasses, every problem reported at once."""

from edge.config.load import config_from_dict, default_config_for_board, load_config
from edge.config.schema import Config

__all__ = ["Config", "config_from_dict", "default_config_for_board", "load_config"]
