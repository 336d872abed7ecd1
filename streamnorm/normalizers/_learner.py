"""How every estimator here learns: all of a batch or stream or nothing of it, from one thread or from several."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, ClassVar, Self

from streamnorm.arrow import as_table, is_arrow, is_at_hand, is_stream, known, parts_of
from streamnorm.errors import DataError, InfiniteValueError, NoWeightError
from streamnorm.normalizers._callbacks import CallbackSupportMixin, with_callbacks
from streamnorm.tables import learning_lock

__all__ = ["Learner", "batches_in"]


class Learner(CallbackSupportMixin):  # type: ignore[misc]
    """What learns batch by batch.

    Subclasses say how a batch is learnt from (`_learn_batch`) and which attributes that sets (`_LEARNT`).
    """

    #: Every attribute that learning sets, beside scikit-learn's; the first is there from the first batch on.
    _LEARNT: ClassVar[tuple[str, ...]]

    def _learn_batch(self, X: Any, sample_weight: Any) -> None:
        raise NotImplementedError

    def _refuse_to_learn(self) -> None:
        """Raise DataError where the object is one that cannot learn."""

    # ---- learning ----

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Forget what was learnt and learn from X.

        Parameters
        ----------
        X : array-like or Arrow data of shape (n_samples, n_features), or a stream of such batches
            Missing values are skipped; infinities are refused.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), optional
            Non-negative weights of the rows; a row of weight 0 is as if it were not there. `RobustScaler` and
            `QuantileTransformer`, which count values, take whole weights up to 2^32.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If X, the weights or a parameter cannot be used; the object stays as it was.
        """
        self._refuse_to_learn()
        self._partial_fit(known(X), y, sample_weight, fresh=True)
        return self

    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Learn from one more batch, or from each batch of a stream; one without rows changes nothing.

        Parameters, result and errors are those of `fit`.

        Parameters
        ----------
        X : array-like, frame or Arrow data of shape (n_rows, n_columns)
        y : ignored
        sample_weight : array-like of shape (n_rows,), optional
            Weights of the rows.
        """
        self._refuse_to_learn()
        with suppress(NoWeightError):  # no weight changes nothing
            self._partial_fit(known(X), y, sample_weight, fresh=False)
        return self

    def _partial_fit(self, X: Any, y: Any, sample_weight: Any, *, fresh: bool) -> None:
        """Learn from one more batch; the other parameters and errors are those of `fit`.

        Parameters
        ----------
        X : array-like, frame, Arrow data or stream
        y : ignored
        sample_weight : array-like of shape (n_rows,), optional
        fresh : bool
            Whether what was learnt before is forgotten.
        """
        if "_skl_callbacks" in self.__dict__ or hasattr(self, "_parent_callback_ctx"):
            self._learn_with_callbacks(X, y, sample_weight, fresh)
        else:
            self._learn(X, sample_weight, fresh)

    def _learn(self, X: Any, sample_weight: Any, fresh: bool) -> None:
        """Learn all of X or nothing of it, and nothing learnt by another thread meanwhile is lost.

        Parameters
        ----------
        X : array-like, frame, Arrow data or stream
        sample_weight : array-like of shape (n_rows,), optional
        fresh : bool
            Whether what was learnt before is forgotten.
        """
        if is_at_hand(X):
            with self._unless_it_fails():
                if fresh:
                    self._forget()
                self._begin()
                self._learn_batch(X, sample_weight)
                if fresh:
                    self._check_rows(X)
            return
        # Asking for the rows runs code that may itself learn, or wait for others who do: nobody is locked out then.
        before, apart = dict(self.__dict__), object.__new__(type(self))
        apart.__dict__.update(before)
        if fresh:
            apart._forget()
        apart._begin(apart=True)
        apart._learn_stream(X, sample_weight)
        with self._unless_it_fails():
            if fresh:
                self._forget()
            if self.__sklearn_is_fitted__():
                self._add_what_was_learnt(apart, before)
            else:
                names = (*self._LEARNT, "n_features_in_", "feature_names_in_", "_namespace")
                self.__dict__.update({name: apart.__dict__[name] for name in names if name in apart.__dict__})

    def _forget(self) -> None:
        beside = ("n_features_in_", "feature_names_in_", "_namespace", "_warned", "sources_", "positions_")
        for name in (*self._LEARNT, *beside):
            self.__dict__.pop(name, None)

    def _begin(self, *, apart: bool = False) -> None:
        """Get ready to learn; `apart` from the object that what is learnt is then added to."""
        if not self.__sklearn_is_fitted__():
            self._validate_params()

    def _add_what_was_learnt(self, apart: Self, before: Mapping[str, Any]) -> None:
        """Take over what was learnt apart, by an object that began where this one was before.

        Parameters
        ----------
        apart : StreamTransformer
        before : mapping of str to object
            Attributes of this object when the other one began.

        Raises
        ------
        DataError
            If this object has learnt something else meanwhile, and the order counts.
        """
        if any(self.__dict__.get(name) is not before.get(name) for name in self._LEARNT):
            raise DataError(
                f"this {type(self).__name__} has learnt from other rows while it learnt from a stream, and depends on "
                "their order: let one thread after the other learn."
            )
        self.__dict__.update({name: apart.__dict__[name] for name in self._LEARNT if name in apart.__dict__})

    def _check_rows(self, X: Any) -> None:
        shape = () if is_arrow(X) else getattr(X, "shape", ())
        if shape[:1] == (0,):
            raise DataError(
                f"Found array with 0 sample(s) (shape={tuple(shape)}) while a minimum of 1 is required by "
                f"{type(self).__name__}: give it rows, or call partial_fit, which learns nothing from none."
            )

    def _learn_stream(self, X: Any, sample_weight: Any) -> None:
        if not is_stream(X):
            self._learn_batch(X, sample_weight)
            return
        if sample_weight is not None:
            raise DataError("sample_weight needs a batch, not a stream: call partial_fit for each batch.")
        rows = 0
        for batch in self._gathered(batches_in(X)):
            try:
                self._learn_batch(batch, None)
            except InfiniteValueError as error:
                raise self._infinite(error.slot, error.row, rows) from None
            rows += batch.shape[0] if hasattr(batch, "shape") else len(batch)
        if not self.__sklearn_is_fitted__():
            raise DataError("the stream gave no batch, so that there are no columns to learn from.")

    def _gathered(self, batches: Iterator[Any]) -> Iterator[Any]:
        """Give the batches of a stream as they are learnt from."""
        return batches

    @with_callbacks  # type: ignore[untyped-decorator]
    def _learn_with_callbacks(self, X: Any, y: Any, sample_weight: Any, fresh: bool) -> None:
        """Learn, and tell scikit-learn's callbacks.

        Parameters
        ----------
        X : array-like, frame or Arrow data of shape (n_rows, n_columns)
        y : ignored
        sample_weight : array-like of shape (n_rows,), optional
            Weights of the rows.
        fresh : bool
            Whether what was learnt before is forgotten.
        """
        context = self._init_callback_context()
        about = {"estimator": self, "X": X, "y": y, "metadata": {"sample_weight": sample_weight}}
        context.call_on_fit_task_begin(**about)
        self._learn(X, sample_weight, fresh)
        context.call_on_fit_task_end(**about, reconstruction_attributes={})

    @contextmanager
    def _unless_it_fails(self) -> Iterator[None]:
        """Put the object back as it was if an error leaves the block, which one thread at a time is in."""
        with learning_lock(self):
            before = dict(self.__dict__)
            try:
                yield
            except BaseException:
                self.__dict__.clear()
                self.__dict__.update(before)
                raise

    def __sklearn_is_fitted__(self) -> bool:
        return self._LEARNT[0] in self.__dict__

    if TYPE_CHECKING:

        def _validate_params(self) -> None: ...

        _infinite: Callable[..., InfiniteValueError]


def batches_in(stream: Any) -> Iterator[Any]:
    """Yield the batches of a stream, and of the streams in it; each tells how many rows it has."""
    for part in map(known, parts_of(stream)):
        if is_stream(part):
            yield from batches_in(part)
        else:
            yield as_table(part) if is_arrow(part) and not hasattr(part, "shape") else part
