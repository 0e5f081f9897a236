"""Every error a user of 2.5Vision can meet, in one tree.

    PM25Error                     what was got, what is allowed, what to do
    ├── RequestError              the request cannot be read                  (HTTP 400)
    ├── PhotoError                the bytes are not a usable photo    (HTTP 400, 413, 415, 422)
    ├── MetadataError             time, place, camera or weather is not valid (HTTP 422)
    ├── DataSetError              a data set folder breaks its contract
    ├── DataStoreError            where versions of data sets lie cannot be used, or is damaged
    ├── ArtifactError             an archive is damaged or does not fit this code
    ├── ServerError               TorchServe cannot be started or does not answer
    ├── GroundTruthError          a source of PM2.5 does not answer usefully  (training)
    ├── CollectionError           a collection or its camera is not usable    (training)
    ├── FeatureStoreError         the feature store's file cannot be used (training)
    ├── PredictionLogError        the prediction log's file cannot be used
    └── WorkerError               processes or machines cannot do their work (training)

Each carries a `code` for programs, a `detail` and a `how_to_fix` for people.
"""

from __future__ import annotations


class PM25Error(Exception):
    """Base of all errors. `status` is the HTTP status the server answers with."""

    status = 500

    def __init__(
        self, code: str, detail: str, how_to_fix: str, *, status: int | None = None
    ) -> None:
        super().__init__(f"{detail} {how_to_fix}")
        self.code = code
        self.detail = detail
        self.how_to_fix = how_to_fix
        if status is not None:
            self.status = status

    def __reduce__(self) -> tuple[object, ...]:
        """Let the error travel between worker processes; the default forgets its parts."""
        return _rebuilt, (type(self), self.code, self.detail, self.how_to_fix, self.status)


class RequestError(PM25Error):
    status = 400


class PhotoError(PM25Error):
    status = 422


class MetadataError(PM25Error):
    status = 422


class DataSetError(PM25Error):
    pass


class DataStoreError(PM25Error):
    pass


class ArtifactError(PM25Error):
    pass


class ServerError(PM25Error):
    pass


def _rebuilt(
    kind: type[PM25Error], code: str, detail: str, how_to_fix: str, status: int
) -> PM25Error:
    return kind(code, detail, how_to_fix, status=status)
