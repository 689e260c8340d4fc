import paddle


def test_it_is_the_real_package():
    assert paddle.__version__ == "3.3.1"
