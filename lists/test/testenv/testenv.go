// Package testenv decides which tests run, and awaits conditions for them.
//
// Many tests need root, mail servers or other programs that .ci/deps installs, or much time. Such a test calls [Needs]
// first. "go test ./..." leaves it out, on every machine, so that it passes anywhere in two minutes; .ci/test sets
// EHLOGATE_TEST=all, which runs every test, and what is missing is then a failure of the test.
package testenv

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// Variable is the name of the environment variable that selects the tests: "all" runs every test.
const Variable = "EHLOGATE_TEST"

// LeftOut begins the output of each test that is left out; what the test needs follows, separated by commas.
const LeftOut = "left out, needs: "

// Needed begins what Needs logs of a test that runs; what the test needs follows, as after LeftOut.
const Needed = "needs: "

// All reports whether every test runs.
func All() bool { return os.Getenv(Variable) == "all" }

// Needs leaves the test out unless every test runs. needs name what the test needs, in words for people: "root", "Postfix",
// "a minute". No other function of this module may skip a test.
func Needs(t testing.TB, needs ...string) {
	t.Helper()
	if All() {
		t.Logf("%s%s", Needed, strings.Join(needs, ", "))
		return
	}
	name, _, _ := strings.Cut(t.Name(), "/")
	t.Skipf("%s%s\nrun it: .ci/deps && %s=all go test -run '^%s$' .", LeftOut, strings.Join(needs, ", "), Variable, name)
}

// Soon is how long Eventually waits: long, because a busy machine must not fail a test. To build the daemon alone has taken
// more than a minute beside other tests.
const Soon = 3 * time.Minute

// Eventually waits until the condition holds and fails the test if it does not within Soon. what names the condition.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Soon)
	defer cancel()
	if err := Await(ctx, func() (bool, error) { return holds(), nil }); err != nil {
		t.Fatalf("waiting until %s: %v", what, err)
	}
}

// Await looks at a condition, less often as time goes by, until it holds or fails. If ctx ends first, it returns the cause of that.
func Await(ctx context.Context, holds func() (bool, error)) error {
	for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		if ok, err := holds(); err != nil || ok {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the condition does not hold: %w", context.Cause(ctx))
		case <-time.After(pause):
		}
	}
}
