package learnstore

import (
	"errors"
	"testing"
)

func TestMemory(t *testing.T) {
	b := NewMemory().Bucket("a")
	value := []byte("1")
	for _, k := range []string{"b", "a", "c"} {
		if err := b.Put([]byte(k), value); err != nil {
			t.Fatal(err)
		}
	}
	value[0] = '2'
	_ = b.Delete([]byte("b"))
	var keys string
	_ = b.ForEach(func(k, v []byte) error { keys += string(k) + string(v); return nil })
	if keys != "a1c1" || b.Count() != 2 || b.Get([]byte("b")) != nil || string(b.Get([]byte("a"))) != "1" {
		t.Errorf("%q, %d keys", keys, b.Count())
	}
	stop := errors.New("stop")
	if err := b.ForEach(func(_, _ []byte) error { return stop }); err != stop {
		t.Errorf("%v; want the error of the function", err)
	}
}
