"""The error tree of preprocess/. Messages say what is wrong and what to do about it."""


class TeziError(Exception):
    """Base of the errors that a user can act on: the command line prints them in one line."""


class SettingsError(TeziError):
    """A setting is missing, malformed or contradicts another."""


class StoreError(TeziError):
    """The market database cannot be opened, read or written."""


class StoreReplacedError(StoreError):
    """The market database is no longer the one that was opened: it was restored or replaced."""


class ImportRefusedError(TeziError):
    """A whole file is refused: it is not what it was said to be, or is damaged."""


class FeatureError(TeziError):
    """Features cannot be computed from what was given (never: a value is merely missing)."""


class TrainingError(TeziError):
    """There is not enough data, or only one class of it, to train and judge a model."""


class ModelError(TeziError):
    """A trained model is absent, damaged, or its feature list is not the manifest."""


class PublishError(TeziError):
    """A version cannot be written to the model repository; what was served before is untouched."""


class ServerError(TeziError):
    """A server cannot be found or started, or does not come up in time."""


class DatabaseAwayError(ServerError):
    """A server runs and cannot read the market database: restarting it would not help."""


class CacheError(TeziError):
    """A value cannot be cached, or what lies in the cache cannot be read."""


class EveningError(TeziError):
    """The evening run cannot be done or finished; it can be run again."""
