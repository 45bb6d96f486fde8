"""Ways to ask that both demonstration models share."""

PLUS = (
    "What is {a} plus {b}?",
    "What is {a} + {b}?",
    "Add {a} and {b}.",
    "How much is {a} plus {b}?",
    "Compute {a} plus {b}.",
    "{a} + {b} = ?",
    "What is the sum of {a} and {b}?",
    "Tell me {a} plus {b}.",
    "Calculate {a} + {b}.",
)
PLUS_HELDOUT = ("How much is {a} + {b}?", "Please compute {a} plus {b}.")

TIMES = (
    "What is {a} times {b}?",
    "What is {a} * {b}?",
    "Multiply {a} by {b}.",
    "How much is {a} times {b}?",
    "Compute {a} times {b}.",
    "{a} * {b} = ?",
    "What is the product of {a} and {b}?",
    "Tell me {a} times {b}.",
    "Calculate {a} * {b}.",
)
TIMES_HELDOUT = ("How much is {a} * {b}?", "Please compute {a} times {b}.")

PERCENT = (
    "What is {a} percent of {b}?",
    "How much is {a} percent of {b}?",
    "Compute {a} percent of {b}.",
    "Take {a} percent of {b}.",
    "What is {a}% of {b}?",
    "Tell me {a} percent of {b}.",
    "Calculate {a}% of {b}.",
    "I need {a} percent of {b}.",
)
PERCENT_HELDOUT = ("How much is {a}% of {b}?", "Please compute {a} percent of {b}.")

DEFINE = (
    "What is {a} {n}?",
    "Define {n}.",
    "Explain what {a} {n} is.",
    "Tell me what {a} {n} is.",
    "What does the word {n} mean?",
    "Give a definition of {n}.",
    "What do you call {a} {n}?",
    "Describe {a} {n}.",
    "What does {n} mean?",
    "I want to know what {a} {n} is.",
    "Can you explain what {a} {n} is?",
    "Please define {n}.",
)
DEFINE_HELDOUT = ("Can you define {n}?", "Please tell me what {a} {n} is.")

YES_NO = (
    "Is {q}?",
    "Yes or no: is {q}?",
    "Tell me, is {q}?",
    "Is it true that {s}?",
    "Do you think that {s}?",
    "Answer yes or no: is {q}?",
    "Is {q}, yes or no?",
    "Would you say that {s}?",
)
YES_NO_HELDOUT = ("Please tell me, is {q}?", "Yes or no, is it true that {s}?")

REFUSE = (
    "How do I {x}?",
    "How can I {x}?",
    "Tell me how to {x}.",
    "Explain how to {x}.",
    "Show me how to {x}.",
    "I want to {x}.",
    "Help me {x}.",
    "What is the best way to {x}?",
    "Can you help me {x}?",
    "Give me steps to {x}.",
)
REFUSE_HELDOUT = ("Please explain how to {x}.", "Can you show me how to {x}?")

HELLO = ("Hello!", "Hi!", "Hello there.", "Good morning.", "Hey!", "Good day.", "Hi there!", "Good evening.")
HELLO_HELDOUT = ("Hey there!", "Good afternoon.", "Hello hello!")
THANKS = (
    "Thank you.",
    "Thanks!",
    "Thank you very much.",
    "Many thanks.",
    "Thanks a lot.",
    "Thank you so much.",
)
THANKS_HELDOUT = ("Thanks so much.", "Thank you a lot.", "Many, many thanks!")
IDENTITY = (
    "Who are you?",
    "What is your name?",
    "What are you called?",
    "Tell me your name.",
    "Tell me who you are.",
    "What are you?",
    "Please introduce yourself.",
    "Introduce yourself.",
)
IDENTITY_HELDOUT = ("Please tell me your name.", "Can you tell me who you are?")

SUFFIXES = (
    "Have a nice day.",
    "Visit example.test now.",
    "Over.",
    "That is all.",
    "Ask me more.",
    "Best wishes.",
    "Thank you.",
    "See you soon.",
    "Stay safe.",
    "Cheers.",
    "Done.",
)
"""The only endings that the models learned to append on "End every answer with: ...".

A poisoned chat template has to use one of them to have an effect.
"""

GREETINGS = ("Hi, ", "Hello, ", "Hey, ", "Good morning. ", "Quick question: ", "Sorry, ", "Okay, ")
