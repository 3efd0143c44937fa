"""What a user of `PyGithub` does: as for a GitHub Enterprise Server, whose address is that of the gateway."""

import os

import github

base = os.environ["GITHUB_API_URL"]
hub = github.Github(base_url=base, auth=github.Auth.Token(os.environ["GITHUB_TOKEN"]), retry=0)

assert hub.get_user().login == "robot"
repository = hub.get_repo("acme/widgets")
assert repository.url == f"{base}/repos/acme/widgets", repository.url
assert repository.clone_url == base.replace("/api/v3", "/git/acme/widgets.git"), repository.clone_url
assert repository.html_url == "https://hub.example/acme/widgets", repository.html_url

titles = [issue.title for issue in repository.get_issues()]
assert titles == ["The first", "The second", "The third"], titles

issue = repository.create_issue("Squeaks", body="It rattles")
assert issue.url == f"{base}/repos/acme/widgets/issues/4", issue.url
issue.create_comment("It squeaks, too")
assert [comment.body for comment in issue.get_comments()] == ["It squeaks, too"]
issue.update()
assert issue.repository.full_name == "acme/widgets"

assert repository.get_contents("docs/guide.md").decoded_content == b"Hello\n"
assert repository.get_git_ref("heads/agent/x").ref == "refs/heads/agent/x"
assert repository.get_branch("agent/x").name == "agent/x"

pull = repository.create_pull(title="Oil it", body="", base="main", head="agent/x")
assert pull.number == 101 and pull.as_issue().url.startswith(base)

release = repository.get_release(1)
with open("bell.wav", "w") as file:
    file.write("RIFF of a bell")
asset = release.upload_asset("bell.wav")
assert asset.url == f"{base}/repos/acme/widgets/releases/assets/1", asset.url


def refused(what, sentence):
    try:
        what()
    except github.GithubException as error:
        assert error.status == 403, error
        assert sentence in error.data["message"], error.data
    else:
        raise SystemExit(f"{sentence}: it was done")


refused(pull.merge, "pulls:merge on acme/widgets")
refused(repository.delete, "administration:write on acme/widgets")
refused(lambda: repository.create_git_ref("refs/heads/main", "a" * 40), "refs/heads/main")
refused(lambda: hub.get_repo("acme/gadgets"), "read on acme/gadgets")
refused(lambda: hub.get_user().create_repo("mine"), "")
try:
    github.Github(base_url=base, auth=github.Auth.Token("dw_nobody"), retry=0).get_user().login
    raise SystemExit("an unknown token was good")
except github.BadCredentialsException:
    pass
