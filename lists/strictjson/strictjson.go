// Package strictjson reads JSON whose keys are spelled exactly as the fields that
// they are for, and stand once.
//
// encoding/json takes a key in any case for the same field, and of several the
// last one wins, silently: {"cidr":"192.0.2.0/24","CIDR":"0.0.0.0/0"} is all of the
// Internet. RFC 8259 section 4 leaves open what becomes of a key that stands twice.
package strictjson

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// KeyError is a key that cannot be meant.
type KeyError struct {
	Key    string
	Want   string // how it is spelled; empty: it stands there a second time
	Offset int64  // of what follows the key
}

func (e *KeyError) Error() string {
	if e.Want == "" {
		return fmt.Sprintf("the key %q twice", e.Key)
	}
	return fmt.Sprintf("the key %q, which is spelled %q", e.Key, e.Want)
}

// Unmarshal is json.Unmarshal with such keys. A key that v does not know is
// ignored, as it is there, if it is not one of its keys in another case.
func Unmarshal(text []byte, v any) error {
	if err := json.Unmarshal(text, v); err != nil {
		return err
	}
	return check(json.NewDecoder(bytes.NewReader(text)), reflect.TypeOf(v))
}

// check goes through one value, which becomes one of this type; nil: it is ignored.
func check(d *json.Decoder, of reflect.Type) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	for of != nil && of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	switch t {
	case json.Delim('['):
		for d.More() {
			if err := check(d, elem(of)); err != nil {
				return err
			}
		}
	case json.Delim('{'):
		seen := make(map[string]bool)
		for d.More() {
			t, err := d.Token()
			if err != nil {
				return err
			}
			key := t.(string)
			inner, want := field(of, key)
			if want != "" || seen[key] {
				return &KeyError{key, want, d.InputOffset()}
			}
			seen[key] = true
			if err := check(d, inner); err != nil {
				return err
			}
		}
	default:
		return nil
	}
	_, err = d.Token() // the end
	return err
}

// elem returns the type of what a value of this type holds.
func elem(of reflect.Type) reflect.Type {
	if of != nil && (of.Kind() == reflect.Slice || of.Kind() == reflect.Array || of.Kind() == reflect.Map) {
		return of.Elem()
	}
	return nil
}

// field returns the type that a key is for, or how the key is spelled that
// encoding/json takes it for.
func field(of reflect.Type, key string) (t reflect.Type, want string) {
	if of == nil || of.Kind() != reflect.Struct {
		return elem(of), ""
	}
	for i := range of.NumField() {
		f := of.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" {
			name = f.Name
		}
		switch {
		case name == key:
			return f.Type, ""
		case strings.EqualFold(name, key):
			want = name
		}
	}
	return nil, want
}
