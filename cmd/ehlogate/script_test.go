package main

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"ehlogate/lists/test/dnstest"
	"ehlogate/lists/test/testenv"
)

func TestMain(m *testing.M) {
	testenv.LeaveRaceDetectorToPrograms() // mtatest runs this very program
	testscript.Main(m, map[string]func(){
		"ehlogate": func() { os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)) },
	})
}

// The command line, as a user sees it. A file named .needs in a script lists what the script needs, one a line.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: os.Getenv("UPDATE") != "",
		Setup: func(env *testscript.Env) error {
			needs, err := os.ReadFile(filepath.Join(env.WorkDir, ".needs"))
			if err == nil {
				testenv.Needs(env.T().(testing.TB), strings.Fields(string(needs))...)
			}
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			// answers PATH: waits until that socket accepts a connection.
			"answers": func(ts *testscript.TestScript, _ bool, args []string) {
				for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) { // polls a condition
					c, err := net.Dial("unix", ts.MkAbs(args[0]))
					if err == nil {
						c.Close()
						return
					}
					if time.Now().After(end) {
						ts.Fatalf("no answer: %v", err)
					}
				}
			},
			// dns FILE: serves the zone list.test in that file; $DNS is the server.
			"dns": func(ts *testscript.TestScript, _ bool, args []string) {
				server := dnstest.StartServer(t, dnstest.NewZone(t, "list.test.", ts.ReadFile(args[0])))
				ts.Setenv("DNS", server.Addr.String())
			},
			// write FILE FROM: writes FROM with $DNS in place.
			"write": func(ts *testscript.TestScript, _ bool, args []string) {
				text := strings.ReplaceAll(ts.ReadFile(args[1]), "$DNS", ts.Getenv("DNS"))
				ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o644))
			},
			// status CODE COMMAND...: the command ends with that exit code.
			"status": func(ts *testscript.TestScript, _ bool, args []string) {
				want, err := strconv.Atoi(args[0])
				ts.Check(err)
				err = ts.Exec(args[1], args[2:]...)
				var exit *exec.ExitError
				if errors.As(err, &exit) {
					if got := exit.ExitCode(); got != want {
						ts.Fatalf("exit code %d, want %d", got, want)
					}
				} else if want != 0 || err != nil {
					ts.Fatalf("got %v, want exit code %d", err, want)
				}
			},
		},
	})
}
