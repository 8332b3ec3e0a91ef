package main

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"testing"

	"ehlogate/cmd/ehlogate/internal/test/logschema"
)

// messageRule is what the schema says of the messages of an event.
type messageRule struct {
	Const, Pattern string
	Enum           []string
	AnyOf          []messageRule
}

// texts returns the messages and patterns of a rule.
func (r messageRule) texts() []string {
	all := append([]string{r.Const, r.Pattern}, r.Enum...)
	for _, other := range r.AnyOf {
		all = append(all, other.texts()...)
	}
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}

// TestLogSchema compares the schema with the source: it has each message that is logged, and no other, and the fields of the
// table in README.md, which TestLogFields compares with the source.
func TestLogSchema(t *testing.T) {
	var schema struct {
		Properties map[string]struct{ Description string }
		AnyOf      []struct {
			Description string
			Properties  struct{ Msg messageRule }
		}
	}
	file, err := logschema.FindFile()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &schema)
	}
	if err != nil {
		t.Fatal(err)
	}
	documented := slices.DeleteFunc(documentedFields(t), func(name string) bool { return name == "at" }) // in text alone
	if fields := slices.Sorted(maps.Keys(schema.Properties)); !slices.Equal(fields, documented) {
		t.Errorf("the schema has the fields\n%q\nand cmd/ehlogate/README.md\n%q", fields, documented)
	}
	for name, field := range schema.Properties {
		if field.Description == "" {
			t.Errorf("the field %s has no description", name)
		}
	}
	messages := sourceMessages(t)
	if len(messages) < 90 {
		t.Errorf("got only %d messages in the source", len(messages))
	}
	for _, event := range schema.AnyOf {
		if event.Description == "" {
			t.Errorf("an event has no description: %q", event.Properties.Msg)
		}
		for _, m := range event.Properties.Msg.texts() {
			if !messages[m] {
				t.Errorf("the schema has a message twice, or one that is not logged: %s", m)
			}
			delete(messages, m)
		}
	}
	for m := range messages {
		t.Errorf("the schema lacks a message: %s", m)
	}
}

// TestLogSchemaRefuses checks that the schema tells lines of the log from others.
func TestLogSchemaRefuses(t *testing.T) {
	line := func() map[string]any {
		return map[string]any{"time": "2026-11-28T09:00:00.5Z", "level": "info", "msg": "listening", "protocol": "memcache", "listener": "127.0.0.1:10046"}
	}
	check := func(fields map[string]any) error {
		text, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		return logschema.Check(text)
	}
	if err := check(line()); err != nil {
		t.Error(err)
	}
	for key, values := range map[string][]any{
		"time": {nil, "yesterday", 5}, "level": {nil, "fatal", "error"}, "msg": {nil, "", "another message"}, "protocol": {nil, "smtp"}, "listener": {nil},
		"extra": {"a field"}, "line": {"3", -1}, "until": {"tomorrow"},
	} {
		for _, v := range values {
			wrong := line()
			if wrong[key] = v; v == nil {
				delete(wrong, key)
			}
			if check(wrong) == nil {
				t.Errorf("the schema takes %v", wrong)
			}
		}
	}
}
