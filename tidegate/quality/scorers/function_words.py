"""Function words by which a language is told from others: frequent, and in few of the other languages here."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FUNCTION_WORDS: dict[str, frozenset[str]] = {
    "cs": _words(
        "a je se na že který která jako ale jsou byl byla bylo aby když nebo pro této tento také však už"
    ),
    "da": _words(
        "og er det ikke jeg på af til med som har være kan skal vil efter også hvor noget af den blev når"
    ),
    "de": _words(
        "der die das und ist nicht ein eine einer mit für auf den dem des sich auch wird werden wurde von zu im als"
        " dass aber oder bei nach wie sind haben hat ich sie wir ihr es kann noch nur sehr über"
    ),
    "en": _words(
        "the and is of to that it with for was are this be have not you they which from by has were been would there"
        " their will what when who an at or but his her she he we can if its as on in"
    ),
    "es": _words(
        "el los las que y es una por con para del como más pero sus está son también fue muy este esta ser hay cuando"
        " donde porque desde sin sobre entre hasta lo al un"
    ),
    "fi": _words(
        "ja on ei se että hän olen ovat oli mutta tai kun niin myös joka mitä tämä sen ole voi kuin mukaan"
    ),
    "fr": _words(
        "le les des et est une dans pour que qui pas sur avec ce cette sont plus par au aux il elle nous vous être ont"
        " mais ou du un en la c'est ne se leur très aussi"
    ),
    "hu": _words(
        "és a az hogy nem egy is van volt meg csak de ez azt mint már ki aki vagy sem lehet kell minden"
    ),
    "id": _words(
        "yang dan di ini itu dengan untuk dari tidak adalah pada dalam akan saya anda mereka bisa juga karena"
    ),
    "it": _words(
        "il gli che è una per con non del della dei delle sono come più anche nel nella ma questo questa essere alla"
        " di lo dal cui ha hanno molto quando perché o al le un"
    ),
    "nl": _words(
        "de het een en van is dat niet zijn op te voor met die aan ook er bij om maar door uit als naar worden wordt"
        " heeft hebben deze dit wat nog kan ik je hij zij wij"
    ),
    "pl": _words(
        "i w na nie się jest że do z to jak ale o od po przez czy być są był była tego który która oraz dla"
    ),
    "pt": _words(
        "o os as que é um uma não para com por do da dos das em no na mais como mas são foi ser está também muito ele"
        " ela isso pelo pela quando há à ao seu sua você"
    ),
    "ro": _words(
        "și este de la cu nu în pe că o un una pentru din care sunt mai fi sau dar ca au fost această prin"
    ),
    "ru": _words(
        "и в не на что с как это по но он она они для из к у от так же бы был была были все или если есть"
    ),
    "sv": _words(
        "och är det att inte jag på av till med som har vara kan ska vill efter också där något den blev när"
    ),
    "tr": _words(
        "ve bir bu için ile de da çok daha ne olarak olan gibi değil ama kadar var sonra ben sen o en mi"
    ),
    "uk": _words(
        "і в не на що з як це по але він вона вони для із до у від так же був була були всі або якщо є та"
    ),
}
