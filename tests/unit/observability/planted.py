"""Secrets of every kind, invented, as they come in texts."""

DASHES = "-" * 5
# Each with the part that must be found nowhere.
PLANTED = {
    "bearer": ("Authorization: Bearer abc123DEF456ghi", "abc123DEF456ghi"),
    "bearer, lower case": ("authorization=bearer abc123DEF456ghi", "abc123DEF456ghi"),
    "basic": ("Basic dXNlcjpwYXNzd29yZA==", "dXNlcjpwYXNz"),
    "Hugging Face": ("token hf_AbCdEfGhIjKlMnOp was refused", "AbCdEfGhIjKl"),
    "OpenAI": ("key sk-proj-AbCd_1234567890abcdef", "1234567890abcdef"),
    "Replicate": ("r8_AbCdEfGhIjKlMnOpQrStUv", "AbCdEfGhIj"),
    "RunPod": ("rpa_ABCDEFGHIJKLMNOP123456", "ABCDEFGHIJKL"),
    "GitHub": ("ghp_0123456789abcdefABCDEF", "0123456789abcdef"),
    "Slack": ("xoxb-123456789012-abcdefABCDEF", "123456789012-abc"),
    "client key of ours": ("tg_swaggystacks_Zx9-yW_v1234567890abcdefABCDEFGH", "yW_v1234567890"),
    "request token of ours": ("tg1.k1.eyJvIjoiYSJ9.AbCdEf123456", "AbCdEf123456"),
    "256 bits of ours": ("k1 q3Vt7-Zk9_LmN0pQrStUvWxYzAbCdEfGhIjKlMnOpQr", "LmN0pQrStUvWx"),
    "AWS key id": ("AKIAIOSFODNN7EXAMPLE", "IOSFODNN7"),
    "AWS secret": ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "K7MDENG"),
    "presigned": (
        "GET https://b.s3.amazonaws.com/m.gguf?X-Amz-Credential=AKIDEXAMPLE%2Fus&X-Amz-Signature=fe5f80f77d5fa3be",
        "fe5f80f77d5fa3be",
    ),
    "presigned, Azure": ("https://x.blob.core.windows.net/c/m?sv=2024&sig=Zm9vYmFyYmF6cXV4", "Zm9vYmFyYmF6"),
    "password in a URL": ("postgresql+psycopg://tidegate:s3cr3tpw@db:5432/l", "s3cr3tpw"),
    "user alone in a URL": ("https://ghtoken123456@github.com/o/r", "ghtoken123456"),
    "Apprise, Slack": ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#ops", "TIiajkdnlazkc"),
    "Apprise, mail": ("mailtos://someone:passw0rd9@example.com?to=x", "passw0rd9"),
    "webhook, Slack": ("https://hooks.slack.com/services/T000/B000/XXXXyyyyZZZZ", "XXXXyyyyZZZZ"),
    "webhook, Discord": ("https://discord.com/api/webhooks/123/AbCdEfGh_ij", "AbCdEfGh_ij"),
    "webhook, Telegram": ("https://api.telegram.org/bot123:AAEabcdef/sendMessage", "AAEabcdef"),
    "PEM": (f"{DASHES}BEGIN PRIVATE KEY{DASHES}\nMIIEvAIBADANBg\n{DASHES}END PRIVATE KEY{DASHES}", "MIIEvAIBADANBg"),
    "PEM without an end": (f"{DASHES}BEGIN RSA PRIVATE KEY{DASHES}\nMIIEowIBAAKC\n", "MIIEowIBAAKC"),
    "JSON web token": ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3", "eyJzdWIiOiIxMjM0In0"),
    "assignment": ("connecting with password=opensesame9", "opensesame9"),
    "assignment in JSON": ('{"api_key": "plain-looking-value"}', "plain-looking-value"),
    "assignment in JSON in JSON": ('"{\\"client_secret\\": \\"plain-looking-value\\"}"', "plain-looking-value"),
    "header": ("X-Api-Key: plain-looking-value", "plain-looking-value"),
    "given to this process": ("said swordfish-of-any-shape twice", "swordfish-of-any-shape"),
    "prompt in JSON": ('sent {"messages": [{"role": "user", "content": "my private question"}]}', "private question"),
}  # fmt: skip
KNOWN = ("swordfish-of-any-shape",)
