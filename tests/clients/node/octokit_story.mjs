// What a user of `octokit` does: as for a GitHub Enterprise Server, whose address is that of the gateway.

import assert from "node:assert/strict";
import { Octokit } from "octokit";

const base = process.env.GITHUB_API_URL;
const octokit = new Octokit({ baseUrl: base, auth: process.env.GITHUB_TOKEN, log: { debug() {}, info() {}, warn() {}, error() {} } });
const widgets = { owner: "acme", repo: "widgets" };

assert.equal((await octokit.rest.users.getAuthenticated()).data.login, "robot");
const repository = (await octokit.rest.repos.get(widgets)).data;
assert.equal(repository.url, `${base}/repos/acme/widgets`);

const issues = await octokit.paginate(octokit.rest.issues.listForRepo, widgets);
assert.deepEqual(issues.map((issue) => issue.title), ["The first", "The second", "The third"]);

const issue = (await octokit.rest.issues.create({ ...widgets, title: "Squeaks" })).data;
assert.equal(issue.url, `${base}/repos/acme/widgets/issues/4`);
await octokit.request(`POST ${issue.comments_url}`, { body: "It squeaks, too" });
const comments = await octokit.rest.issues.listComments({ ...widgets, issue_number: issue.number });
assert.equal(comments.data[0].body, "It squeaks, too");

// Octokit writes the slashes in these as %2F.
const file = (await octokit.rest.repos.getContent({ ...widgets, path: "docs/guide.md" })).data;
assert.equal(file.path, "docs/guide.md");
const ref = (await octokit.rest.git.getRef({ ...widgets, ref: "heads/agent/x" })).data;
assert.equal(ref.ref, "refs/heads/agent/x");
const branch = (await octokit.rest.repos.getBranch({ ...widgets, branch: "agent/x" })).data;
assert.equal(branch.name, "agent/x");
const compared = await octokit.rest.repos.compareCommitsWithBasehead({ ...widgets, basehead: "main...agent/x" });
assert.equal(compared.data.asked, "main...agent/x");

const pull = (await octokit.rest.pulls.create({ ...widgets, title: "Oil it", base: "main", head: "agent/x" })).data;
assert.equal(pull.number, 101);

const created = await octokit.graphql(
  "mutation($input: CreateIssueInput!) { createIssue(input: $input) { issue { number title } } }",
  { input: { repositoryId: "R_1", title: "By GraphQL" } },
);
assert.equal(created.createIssue.issue.number, 5);

const release = (await octokit.rest.repos.getRelease({ ...widgets, release_id: 1 })).data;
assert.equal(release.upload_url, `${base.replace("/v3", "/uploads")}/repos/acme/widgets/releases/1/assets{?name,label}`);
await octokit.request(`POST ${release.upload_url}`, {
  name: "bell.wav",
  data: "RIFF of a bell",
  headers: { "content-type": "audio/wav" },
});

const archive = (await octokit.rest.repos.downloadTarballArchive({ ...widgets, ref: "agent/x" })).data;
assert.equal(typeof archive === "string" ? archive : Buffer.from(archive).toString(), "all of it");

async function refused(sentence, promise) {
  await assert.rejects(promise, (error) => {
    assert.equal(error.status, 403, error);
    assert.ok(error.message.includes(sentence), error.message);
    return true;
  });
}

await refused("pulls:merge on acme/widgets", octokit.rest.pulls.merge({ ...widgets, pull_number: 101 }));
await refused(
  "pulls:merge on acme/widgets",
  octokit.graphql("mutation($id: ID!) { mergePullRequest(input: {pullRequestId: $id}) { clientMutationId } }", { id: "PR_101" }),
);
const main = { ...widgets, ref: "heads/main" };
await refused("refs/heads/main", octokit.rest.git.updateRef({ ...main, sha: "a".repeat(40) }));
await refused("", octokit.rest.git.deleteRef(main));
await refused("read on acme/gadgets", octokit.rest.repos.getContent({ owner: "acme", repo: "gadgets", path: "a/b" }));
await assert.rejects(octokit.rest.repos.getContent({ ...widgets, path: "../../gadgets/contents/b" }), /dot segment|path/);
