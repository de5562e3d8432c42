"""Tests of the whole: one platform with every service, on which the complaint was played, is asked by all of them."""
