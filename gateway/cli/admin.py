"""`tezi admin-token`: a token for admin calls of the REST API."""

import click

from preprocess.admin_tokens import new_token


@click.command("admin-token")
@click.argument("name")
def admin_token_command(name: str) -> None:
    """Print a new admin token for NAME, and its line for the file TEZI_ADMIN_TOKENS_FILE.

    The token is shown this once; the file holds its SHA-256 alone. Gateways read the file at each
    admin call: add the line to allow the token, remove it to withdraw it.

    \b
    tezi admin-token asha
    """
    token, line = new_token(name)
    click.echo(token)
    click.echo(line)
