package config

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// TestSalvage reads the format of the log and the HTTP addresses from configs that cannot be used.
func TestSalvage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.toml")
	http := []string{"127.0.0.1:1"}
	for text, want := range map[string]Salvaged{
		"":                           {},
		"[log]\nformat = \"json\"\n": {JSON: true},
		"[log]\nformat = \"text\"\n": {},
		"[log]\nformat = \"jsn\"\n":  {},
		"nonsense = 1\n[log]\nformat = \"json\"\n[listen]\nhttp = [\"127.0.0.1:1\"]\n":              {true, http},
		"default = offer\n[log]\nformat = \"json\"\n":                                               {JSON: true},
		"[log]\nformat = \"json\"\nlevel = info\n":                                                  {JSON: true},
		"[log]\nformat = \"json\"\n[log]\nlevel = \"info\"\n":                                       {JSON: true},
		"[[list]\nname = 1\n\n[log]\nformat = \"json\" # why\n":                                     {JSON: true},
		"[log]\nformat = \"json\"\n[listen]\nmemcache = [\nhttp = [\"127.0.0.1:1\"]\n":              {true, http},
		"\ufeffx = \nlog.format = \"json\"\nlisten.http = [\"127.0.0.1:1\"]\n":                      {true, http},
		"log = {format = \"json\"}\ny = [\n":                                                        {JSON: true},
		"[listen]\nhttp = [\n  \"127.0.0.1:1\",\n]\n[policy]\nx = \n":                               {HTTP: http},
		"[listen]\nhttp = \"127.0.0.1:1\"\n[log]\nformat = 1\n":                                     {},
		"[listen]\nhttp = [1, \"127.0.0.1:1\"]\n":                                                   {HTTP: http},
		"\x00\xff[log]\nformat = \"json\"\n":                                                        {},
		"\x00\xff\n[log]\nformat = \"json\"\n":                                                      {JSON: true},
		"[policy]\nformat = \"json\"\n[list]\nhttp = [\"127.0.0.1:1\"]\n[LOG]\nformat = \"text\"\n": {},
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := Salvage(path); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %+v, want %+v", text, got, want)
		}
	}
	if got := Salvage(filepath.Join(t.TempDir(), "missing")); !reflect.DeepEqual(got, Salvaged{}) {
		t.Errorf("a missing file: got %+v", got)
	}
}

func FuzzSalvage(f *testing.F) {
	f.Add("[log]\nformat = \"json\"\n")
	f.Add("[listen]\nhttp = [\n")
	path := filepath.Join(f.TempDir(), "c.toml")
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		Salvage(path)
	})
}
