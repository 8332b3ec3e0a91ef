package strictjson

import (
	"encoding/json"
	"errors"
	"testing"
	"time"
)

type inner struct {
	Count int       `json:"count,omitempty"`
	Seen  time.Time `json:"seen,omitzero"`
}

type outer struct {
	Kind string            `json:"kind"`
	One  *inner            `json:"one"`
	Many []inner           `json:"many"`
	Map  map[string]inner  `json:"map"`
	Deep [][]*inner        `json:"deep"`
	Raw  json.RawMessage   `json:"raw"`
	Any  map[string]string `json:"any"`
}

func TestUnmarshal(t *testing.T) {
	for text, want := range map[string]struct {
		key, spelled string
		at           int64
	}{
		`{}`: {}, `null`: {},
		`{"kind":"a","one":{"count":1,"seen":"2026-12-01T00:00:00Z"},"other":{"Kind":1,"kind":2}}`: {},
		`{"map":{"a":{"count":1},"A":{"count":2}},"any":{"x":"","X":""}}`:                          {},
		`{"Kind":"a"}`:                                   {"Kind", "kind", 7},
		`{"kind":"a","KIND":"b"}`:                        {"KIND", "kind", 18},
		`{"\u212aind":"a"}`:                              {"Kind", "kind", 12}, // the sign of kelvin is a K to encoding/json
		`{"kind":"a","kind":"b"}`:                        {"kind", "", 18},
		`{"kind":"a","k\u0069nd":"b"}`:                   {"kind", "", 23},
		`{"one":{"Count":1}}`:                            {"Count", "count", 15},
		`{"many":[{},{"count":1,"COUNT":1}]}`:            {"COUNT", "count", 30},
		`{"map":{"a":{"Seen":"2026-12-01T00:00:00Z"}}}`:  {"Seen", "seen", 19},
		`{"map":{"a":{},"a":{}}}`:                        {"a", "", 18},
		`{"deep":[[{"count":1}],[{"Count":1}]]}`:         {"Count", "count", 32},
		`{"other":{"x":1,"x":2}}`:                        {"x", "", 19},
		`{"raw":{"Kind":1,"one":{"Kind":[{"a":1}]}}}`:    {},
		`{"raw":{"kind":1,"one":[{"kind":1,"kind":2}]}}`: {"kind", "", 40},
	} {
		var v outer
		err := Unmarshal([]byte(text), &v)
		var bad *KeyError
		switch {
		case want.key == "":
			if err != nil {
				t.Errorf("%s: %v", text, err)
			}
		case !errors.As(err, &bad) || bad.Want != want.spelled || bad.Offset != want.at || want.key != bad.Key && bad.Key != "\u212aind":
			t.Errorf("%s: %v, at %+v", text, err, bad)
		}
	}
	if err := Unmarshal([]byte(`{"kind":1}`), new(outer)); err == nil {
		t.Error("a number for a word")
	}
	if err := Unmarshal([]byte(`{} {}`), new(outer)); err == nil {
		t.Error("two values")
	}
}
