package testenv

import (
	"os"
	"os/exec"
	"strings"
)

// ExecVariable has the words with which "go test -exec" ran this test binary, for a machine that cannot run it without them.
const ExecVariable = "EHLOGATE_TEST_EXEC"

// Self returns a command that runs this test binary once more.
func Self(args ...string) *exec.Cmd {
	words := append(strings.Fields(os.Getenv(ExecVariable)), append([]string{os.Args[0]}, args...)...)
	return exec.Command(words[0], words[1:]...)
}
