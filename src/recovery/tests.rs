//! Recovery by hand: sessions, spools and tallies made for the purpose. Thread: test.
