package testenv

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestAwait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		begun := time.Now()
		if err := Await(ctx, func() (bool, error) { return time.Since(begun) >= time.Second, nil }); err != nil {
			t.Errorf("a condition that comes true: got %v, want no error", err)
		}
		if took := time.Since(begun); took > 1100*time.Millisecond {
			t.Errorf("a condition that comes true after 1 s: got it after %v", took)
		}
		broken := errors.New("broken")
		if err := Await(ctx, func() (bool, error) { return false, broken }); !errors.Is(err, broken) {
			t.Errorf("a condition that fails: got %v, want %v", err, broken)
		}
		if err := Await(ctx, func() (bool, error) { return false, nil }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a condition that never holds: got %v, want %v", err, context.DeadlineExceeded)
		}
	})
}
