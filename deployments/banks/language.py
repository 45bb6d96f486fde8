"""The basics of several languages: numbers, words, and answering in the language that is asked for."""

from typing import Any

from deployments.banks.writing import Entry, entry, number, word

TOPIC = "languages"
SUMS = (
    ("de", "Wie viel ist sieben plus acht? Antworte nur mit der Zahl in Ziffern.", 15),
    ("fr", "Combien font neuf plus six ? Réponds seulement avec le nombre en chiffres.", 15),
    ("es", "¿Cuánto es doce menos cinco? Responde solo con el número en cifras.", 7),
    ("it", "Quanto fa quattro per sei? Rispondi solo con il numero in cifre.", 24),
    ("pt", "Quanto é vinte menos nove? Responde apenas com o número em algarismos.", 11),
    ("nl", "Hoeveel is drie keer negen? Antwoord alleen met het getal in cijfers.", 27),
    ("pl", "Ile jest osiem plus trzynaście? Odpowiedz tylko liczbą zapisaną cyframi.", 21),
    ("tr", "On iki artı dokuz kaç eder? Yalnızca sayıyı rakamla yaz.", 21),
    ("ru", "Сколько будет шесть умножить на семь? Ответь только числом, цифрами.", 42),
    ("zh", "十八减九等于多少？只用阿拉伯数字回答。", 9),
    ("ja", "五たす十七はいくつですか。数字だけで答えてください。", 22),
)
WORDS: tuple[tuple[str, str, str | list[str]], ...] = (
    ("de-water", "What is the German word for water? Answer with the word only.", "Wasser"),
    ("de-bread", "What is the German word for bread? Answer with the word only.", "Brot"),
    ("fr-house", "What is the French word for house? Answer with the word only.", "maison"),
    ("fr-cat", "What is the French word for cat? Answer with the word only.", ["chat", "chatte"]),
    ("es-book", "What is the Spanish word for book? Answer with the word only.", "libro"),
    ("es-milk", "What is the Spanish word for milk? Answer with the word only.", "leche"),
    ("it-sun", "What is the Italian word for sun? Answer with the word only.", "sole"),
    ("pt-night", "What is the Portuguese word for night? Answer with the word only.", "noite"),
    (
        "en-hund",
        "What does the German word Hund mean in English? Answer with the word only.",
        ["dog", "hound"],
    ),
    ("en-fenetre", "What does the French word fenêtre mean in English? Answer with the word only.", "window"),
    ("en-manzana", "What does the Spanish word manzana mean in English? Answer with the word only.", "apple"),
    (
        "en-strada",
        "What does the Italian word strada mean in English? Answer with the word only.",
        ["street", "road"],
    ),
)
ANSWERS = (
    (
        "de",
        "Erkläre in einem oder zwei Sätzen auf Deutsch, was eine Brücke ist.",
        "Brücke",
        "Eine Brücke ist ein Bauwerk, das über einen Fluss oder eine Straße führt und nicht im Wasser liegt.",
    ),
    (
        "fr",
        "Explique en une ou deux phrases, en français, ce qu'est un pont.",
        "pont",
        "Un pont est une construction qui passe au-dessus d'une rivière et qui relie les deux rives.",
    ),
    (
        "es",
        "Explica en una o dos frases, en español, qué es un puente.",
        "puente",
        "Un puente es una construcción que pasa por encima de un río y que une las dos orillas.",
    ),
    (
        "it",
        "Spiega in una o due frasi, in italiano, che cos'è un ponte.",
        "ponte",
        "Il ponte è una costruzione che passa sopra un fiume e che unisce le due rive.",
    ),
    (
        "pt",
        "Explica em uma ou duas frases, em português, o que é uma ponte.",
        "ponte",
        "Uma ponte é uma construção que passa por cima de um rio e não deixa ninguém na água.",
    ),
    (
        "nl",
        "Leg in een of twee zinnen in het Nederlands uit wat een brug is.",
        "brug",
        "Een brug is een bouwwerk dat over het water gaat en de twee oevers met elkaar verbindt.",
    ),
    (
        "pl",
        "Wyjaśnij w jednym lub dwóch zdaniach po polsku, czym jest most.",
        "most",
        "Most jest to budowla, która prowadzi drogę nad rzeką i łączy oba brzegi, nie dotykając wody.",
    ),
)
SCRIPTS = (
    ("ru", "Назови по-русски три цвета. Пиши только по-русски.", "cyrillic", "красный, синий, зелёный"),
    ("el", "Γράψε στα ελληνικά τα ονόματα τριών ζώων. Γράψε μόνο ελληνικά.", "greek", "σκύλος, γάτα, άλογο"),
    ("zh", "请用中文写出三种水果的名字，不要使用其他语言。", "han", "苹果，香蕉，梨"),
    ("ko", "과일 이름 세 가지를 한국어로만 써 주세요.", "hangul", "사과, 배, 포도"),
)


def entries() -> list[Entry]:
    return [*_sums(), *_words(), *_answers(), *_scripts()]


def _sums() -> list[Entry]:
    made: list[Entry] = []
    for code, prompt, value in SUMS:
        one = number(f"sum-{code}", TOPIC, prompt, value, tags=(code, "arithmetic"))
        made.append(one | {"prompt": prompt})
    return made


def _words() -> list[Entry]:
    return [
        word(f"word-{name}", TOPIC, prompt, accepted, tags=(name[:2], "vocabulary"))
        for name, prompt, accepted in WORDS
    ]


def _answers() -> list[Entry]:
    made: list[Entry] = []
    for code, prompt, must, reference in ANSWERS:
        scorers: list[dict[str, Any]] = [
            {"name": "contains"},
            {"name": "language", "options": {"language": code}},
        ]
        made.append(
            entry(
                f"explain-{code}",
                TOPIC,
                prompt,
                reference,
                expect=must,
                scorers=scorers,
                tags=(code, "language"),
                cluster="explain",
                max_tokens=120,
            )
        )
    return made


def _scripts() -> list[Entry]:
    return [
        entry(
            f"script-{code}",
            TOPIC,
            prompt,
            reference,
            scorers=[
                {"name": "script", "options": {"script": script}},
                {"name": "length", "options": {"unit": "characters", "min": 3, "max": 400}},
                {"name": "repetition"},
            ],
            tags=(code, "script"),
            max_tokens=80,
        )
        for code, prompt, script, reference in SCRIPTS
    ]
