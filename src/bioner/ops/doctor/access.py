"""The hub: whether it lets this user read each model of the run."""

from collections.abc import Iterator, Sequence

from bioner.errors import reason_of
from bioner.ops.doctor.cache import Source
from bioner.ops.doctor.report import Finding, fail, ok, skip

SECONDS = 15.0  # for an answer of the hub; by default its library waits for ever
REFUSED = (401, 403)


def check_access(found: Sequence[Source], offline: bool) -> Iterator[Finding]:
    """Check that the hub lets this user read every model that comes from it."""
    hubs = sorted({source.hub for source in found if not source.is_local})
    if not hubs:
        yield skip("access", "no model of the run comes from the hub")
        return
    if offline:
        yield skip("access", "offline, as compute nodes are: the hub is not asked")
        return
    import httpx2
    from huggingface_hub import auth_check, get_token, set_client_factory
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    set_client_factory(lambda: httpx2.Client(follow_redirects=True, timeout=SECONDS))
    who = "with the token of this user" if get_token() else "without a token"
    for hub in hubs:
        try:
            auth_check(hub)
        except GatedRepoError:
            remedy = (
                f"Accept its terms at https://huggingface.co/{hub}, then set HF_TOKEN or `hf auth"
                " login`."
            )
            yield fail("access", f"{hub}: gated, no leave to read it {who}", remedy)
        except RepositoryNotFoundError:
            remedy = "Correct source.hub; for a private model set HF_TOKEN or `hf auth login`."
            yield fail("access", f"{hub}: no such model for the hub, {who}", remedy)
        except (httpx2.HTTPError, OSError) as error:
            if isinstance(error, HfHubHTTPError) and error.response.status_code in REFUSED:
                remedy = "Set HF_TOKEN or `hf auth login` again: the token may have run out."
                yield fail("access", f"{hub}: refused {who} ({reason_of(error)})", remedy)
            else:
                why = f"the hub cannot be reached ({reason_of(error)})"
                yield skip("access", f"{why}; {len(hubs)} models not asked for")
                return
        else:
            yield ok("access", f"{hub}: may be read {who}")
