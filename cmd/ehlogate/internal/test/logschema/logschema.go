// Package logschema checks lines of the log by the JSON Schema that examples/ has for operators.
package logschema

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/sirupsen/logrus"

	"ehlogate/cmd/ehlogate/internal/logformat"
)

// compile returns the schema of a line. What it says of formats, such as of a time, counts.
var compile = sync.OnceValues(func() (*jsonschema.Schema, error) {
	file, err := FindFile()
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	return c.Compile(file)
})

// FindFile returns the path of the schema, which is in the repository that the test runs in.
func FindFile() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		file := filepath.Join(dir, "examples", "log.schema.json")
		if _, err := os.Stat(file); err == nil {
			return file, nil
		} else if dir == filepath.Dir(dir) {
			return "", err
		}
		dir = filepath.Dir(dir)
	}
}

// Check returns an error if a line of the log is none that the schema describes.
func Check(line []byte) error {
	schema, err := compile()
	if err != nil {
		return err
	}
	var fields map[string]any
	if err := json.Unmarshal(line, &fields); err != nil {
		return fmt.Errorf("%w in %s", err, line)
	}
	if err := schema.Validate(fields); err != nil {
		return fmt.Errorf("%w\nin %s", err, line)
	}
	return nil
}

// Watch has each line of a logger checked, in JSON, until the test ends.
func Watch(t testing.TB, log *logrus.Logger) {
	w := &watcher{t: t}
	t.Cleanup(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.ended = true
	})
	log.AddHook(w)
}

// watcher is a hook of logrus.
type watcher struct {
	t     testing.TB
	mu    sync.Mutex
	ended bool
}

// Levels implements logrus.Hook.
func (*watcher) Levels() []logrus.Level { return logrus.AllLevels }

// Fire implements logrus.Hook.
func (w *watcher) Fire(e *logrus.Entry) error {
	line, err := logformat.New(true).Format(e)
	if err == nil {
		err = Check(line)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil && !w.ended {
		w.t.Error(err)
	}
	return nil
}
