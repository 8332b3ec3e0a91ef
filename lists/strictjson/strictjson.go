// Package strictjson decodes JSON and refuses duplicate keys, and keys in another case than that of their fields.
//
// encoding/json ignores case, and of several equal keys the last one wins, silently:
// {"cidr":"192.0.2.0/24","CIDR":"0.0.0.0/0"} is all of the Internet. RFC 8259 section 4 leaves duplicate keys undefined.
package strictjson

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// KeyError is a duplicate or misspelled key.
type KeyError struct {
	Key    string
	Want   string // its right spelling; empty: it is a duplicate
	Offset int64  // of what follows the key
}

func (e *KeyError) Error() string {
	if e.Want == "" {
		return fmt.Sprintf("duplicate key %q", e.Key)
	}
	return fmt.Sprintf("misspelled key %q: write %q", e.Key, e.Want)
}

// Unmarshal is json.Unmarshal that returns a *KeyError for such keys. Unknown keys are ignored.
func Unmarshal(text []byte, v any) error {
	if err := json.Unmarshal(text, v); err != nil {
		return err
	}
	return checkValue(json.NewDecoder(bytes.NewReader(text)), reflect.TypeOf(v))
}

// checkValue checks the keys in one value that is decoded into this type; nil: it is ignored.
func checkValue(d *json.Decoder, of reflect.Type) error {
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
			if err := checkValue(d, elementType(of)); err != nil {
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
			inner, want := fieldType(of, key)
			if want != "" || seen[key] {
				return &KeyError{key, want, d.InputOffset()}
			}
			seen[key] = true
			if err := checkValue(d, inner); err != nil {
				return err
			}
		}
	default:
		return nil
	}
	_, err = d.Token() // the end
	return err
}

// elementType returns the type of the elements of a type; nil: it has none.
func elementType(of reflect.Type) reflect.Type {
	if of != nil && (of.Kind() == reflect.Slice || of.Kind() == reflect.Array || of.Kind() == reflect.Map) {
		return of.Elem()
	}
	return nil
}

// fieldType returns the type of the field of a key, or the right spelling of the key.
func fieldType(of reflect.Type, key string) (t reflect.Type, want string) {
	if of == nil || of.Kind() != reflect.Struct {
		return elementType(of), ""
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
