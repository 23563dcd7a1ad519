"""Invented names and places. No text here needs escaping in JSON: no quotation mark, no backslash."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Culture:
    """Given names and family names that often come with one home language, and its ISO 639-2 code."""

    language: str
    code: str
    share: float
    women: tuple[str, ...]
    men: tuple[str, ...]
    families: tuple[str, ...]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


CULTURES = (
    Culture(
        "en",
        "eng",
        0.60,
        _words(
            "Abigail Brianna Claire Dana Ellen Faith Grace Hannah Ivy Joanna Kayla Laurel Megan Nora Olive Paige Rose Tessa"
        ),
        _words(
            "Aaron Blake Caleb Dorian Elliot Finn Gavin Henry Isaac Jonah Kyle Logan Miles Noah Owen Peter Reid Silas"
        ),
        _words(
            "Ashdown Birchall Coldwell Dunmore Eastlake Fairholm Greenlaw Hathersage Inglewood Kettering Larkspur Marlowe "
            "Northcote Oakhurst Pemberly Quillfeather Ridgewell Stonebrook Thornbury Underhill Westerby Yarrow"
        ),
    ),
    Culture(
        "es",
        "spa",
        0.24,
        _words(
            "Alma Belén Camila Daniela Elena Fernanda Gabriela Inés Julia Lucía Marisol Noemí Paloma Renata Sofía Ximena"
        ),
        _words("Adrián Bruno César Diego Emilio Felipe Gael Hugo Iván Joaquín Leonel Mateo Nicolás Óscar Raúl Tomás"),
        _words(
            "Arboleda Barrientos Cardenal Delmonte Escobedo Fontana Granados Huerta Lagunas Montejo Olivares Peñalba Quintanar "
            "Robledo Santoyo Valdemar Yáñez Zaldívar"
        ),
    ),
    Culture(
        "ar",
        "ara",
        0.04,
        _words("Amal Basma Dalia Farah Huda Iman Layla Maryam Nadia Rania Salma Yasmin"),
        _words("Adel Bilal Faisal Hadi Idris Jamal Karim Malik Nabil Omar Rashid Tariq"),
        _words("Al-Amin Al-Bustani Darwish El-Khatib Fakhoury Haddad Jaber Mansour Najjar Qasim Sabbagh Zaydan"),
    ),
    Culture(
        "so",
        "som",
        0.04,
        _words("Amina Asha Ayaan Deqa Fadumo Hibo Hodan Ifrah Khadra Nasra Sahra Ubah"),
        _words("Abdi Bashir Cabdalla Daahir Guled Hirsi Ismail Liban Mahad Nuur Samatar Warsame"),
        _words("Abshir Barre Cawaale Dirie Egal Farah Gedi Jama Keynan Muse Roble Warfa"),
    ),
    Culture(
        "vi",
        "vie",
        0.04,
        _words("Anh Bích Chi Diễm Hạnh Hồng Lan Linh Mai Ngọc Thảo Yến"),
        _words("An Bảo Cường Dũng Hải Hùng Khoa Long Minh Nam Quang Tuấn"),
        _words("Bùi Đặng Đinh Dương Hoàng Huỳnh Lâm Lương Ngô Phan Trịnh Vũ"),
    ),
    Culture(
        "zh",
        "zho",
        0.04,
        _words("Fang Hui Jia Lan Ling Mei Ning Qing Rui Xiu Ying Yue"),
        _words("Bo Chen Feng Hao Jian Jun Kai Ming Peng Tao Wei Yang"),
        _words("Bai Cheng Fan Gao Han Jiang Kong Lu Meng Pan Shen Tang"),
    ),
)

STREETS = (
    "Alder Lane",
    "Bramble Road",
    "Canal Street",
    "Dovecote Drive",
    "Elderberry Way",
    "Foxglove Street",
    "Granary Road",
    "Harebell Lane",
    "Iron Bridge Road",
    "Juniper Court",
    "Kingfisher Avenue",
    "Lantern Street",
    "Millrace Road",
    "Nettle Lane",
    "Orchard Terrace",
    "Plover Street",
)

PLACES = (
    "Alder Creek",
    "Bramble Hill",
    "Cedar Ford",
    "Dovecote",
    "Elm Hollow",
    "Foxglove",
    "Granary Park",
    "Heron Lake",
    "Iron Bridge",
    "Juniper Flats",
    "Kingfisher",
    "Lantern Rock",
    "Millrace",
    "Nettle Field",
    "Orchard Gate",
    "Plover Point",
)

CITY = "Lindenford"
STATE = "OH"
POSTAL_CODES = ("00011", "00012", "00013", "00014")
"""American postal codes begin at 00501: these cannot be anybody's."""

RESTRICTIONS = (
    "NO CONTACT per court order, see office file",
    "Do not release records to this parent",
    "No pick up. Ask front office.",
    "Address confidential",
    "custody hearing pending - check with counselor before calling",
)
