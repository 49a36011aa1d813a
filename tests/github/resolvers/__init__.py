"""What answers each field; importing this package registers all of them."""

from functools import cache

from graphql import GraphQLSchema

from tests.github import accounts, items, repository, schema
from tests.github.connections import Edge, Page, PageInfo
from tests.github.limits import Standing
from tests.github.registry import bind
from tests.github.resolvers import owners, query, repositories, threads
from tests.github.resolvers.repositories import Ref, RepositoryTopic, Tag, Topic

__all__ = ["executable", "owners", "query", "repositories", "threads"]

CLASSES: dict[str, type] = {
    "Page": Page,
    "Edge": Edge,
    "PageInfo": PageInfo,
    "Repository": repository.Repository,
    "Commit": items.Commit,
    "GitActor": items.GitActor,
    "Label": items.Label,
    "PullRequest": items.PullRequest,
    "PullRequestReview": items.Review,
    "ReviewRequest": items.ReviewRequest,
    "Issue": items.Issue,
    "Release": items.Release,
    "Ref": Ref,
    "Tag": Tag,
    "Topic": Topic,
    "RepositoryTopic": RepositoryTopic,
    "RateLimit": Standing,
    "User": accounts.User,
    "Bot": accounts.Bot,
    "Mannequin": accounts.Mannequin,
    "Organization": accounts.Organization,
    "Team": accounts.Team,
}


@cache
def executable() -> GraphQLSchema:
    """The published schema with everything bound to it."""
    built = schema.published()
    schema.with_times(built)
    bind(built, CLASSES)
    return built
