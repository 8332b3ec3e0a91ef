package page

import (
	"context"
	_ "embed"
	"fmt"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"ehlogate/lists/test/testenv"
)

// browserPath is the browser that .ci/deps installs.
const browserPath = "/usr/bin/chromium-headless-shell"

// inspection is a function of JavaScript that looks for what is wrong with the page as it is shown.
//
//go:embed testdata/inspect.js
var inspection string

// pictureVariable is the environment variable that has the picture for the documentation written to a file, and
// picturesVariable that of a directory for pictures of all widths and schemes.
const pictureVariable, picturesVariable = "EHLOGATE_TEST_PICTURE", "EHLOGATE_TEST_PICTURES"

// browser is a tab of a browser, and what it complained about.
type browser struct {
	*testing.T
	ctx    context.Context
	origin string

	mu     sync.Mutex
	faults []string
}

// startBrowser starts a browser that ends with the test.
func startBrowser(t *testing.T, origin string) *browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(browserPath), chromedp.NoSandbox) // tests run as root
	allocated, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(allocated)
	t.Cleanup(func() {
		defer cancel()
		if err := chromedp.Cancel(ctx); err != nil { // waits for its end
			t.Error(err)
		}
	})
	b := &browser{T: t, ctx: ctx, origin: origin}
	if err := chromedp.Listen(ctx, b.note); err != nil {
		t.Fatal(err)
	}
	call(b, log.Enable, cdp.Empty{})
	call(b, network.Enable, network.EnableParams{})
	return b
}

// call runs a command of the browser.
func call[P any](b *browser, command cdp.Command[P, cdp.Empty], params P) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, testenv.Soon)
	defer cancel()
	if _, err := chromedp.Call(ctx, command, params); err != nil {
		b.Fatal(err)
	}
}

// ask runs an action that has a result.
func ask[T any](b *browser, action chromedp.Action[T]) T {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, testenv.Soon)
	defer cancel()
	result, err := chromedp.Run(ctx, action)
	if err != nil {
		b.Fatal(err)
	}
	return result
}

// note keeps what must not happen: an error in the console (of CSP, too), a script, a dialog, a request to another host.
func (b *browser) note(event any) {
	fault := ""
	switch e := event.(type) {
	case *log.EventEntryAdded:
		fault = fmt.Sprintf("console: %s: %s", e.Entry.Level, e.Entry.Text)
	case *runtime.EventConsoleAPICalled:
		fault = fmt.Sprintf("a script wrote to the console: %s", e.Type)
	case *runtime.EventExceptionThrown:
		fault = fmt.Sprintf("exception: %s", e.ExceptionDetails.Text)
	case *cdppage.EventJavascriptDialogOpening:
		fault = "a script opened a dialog: " + e.Message
	case *network.EventRequestWillBeSent:
		if !strings.HasPrefix(e.Request.URL, b.origin+"/") {
			fault = "a request to " + e.Request.URL
		}
	}
	if fault != "" {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.faults = append(b.faults, fault)
	}
}

// takeFaults returns what must not have happened since the last call.
func (b *browser) takeFaults() (all []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	all, b.faults = b.faults, nil
	return all
}

// show sets the width of the screen and the scheme of colours.
func (b *browser) show(width, height int64, scheme string) {
	b.Helper()
	call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1, Mobile: width < 600})
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
}

// open opens a path of the server.
func (b *browser) open(path string) {
	b.Helper()
	ask(b, chromedp.Navigate(b.origin+path))
}

// allowScripts sets whether the browser runs scripts.
func (b *browser) allowScripts(is bool) {
	b.Helper()
	call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !is})
}

// inspect reports what is wrong with the page that is shown.
func (b *browser) inspect(name string) {
	b.Helper()
	found := ask(b, chromedp.Evaluate[struct {
		Faults []string `json:"faults"`
		Texts  int      `json:"texts"`
	}]("("+inspection+")()"))
	for _, f := range append(found.Faults, b.takeFaults()...) {
		b.Errorf("%s: %s", name, f)
	}
	if found.Texts < 100 {
		b.Errorf("%s: only %d texts are shown", name, found.Texts)
	}
}

// TestBrowser looks at the page in a real browser: what a person sees at three widths, in light and dark, with scripts off;
// and that nothing runs or is fetched.
func TestBrowser(t *testing.T) {
	testenv.Needs(t, "chromium")
	d := startFull(t)
	server := httptest.NewServer(d.handler)
	defer server.Close()
	b := startBrowser(t, server.URL)
	b.open("/")
	for _, width := range []int64{360, 768, 1280} {
		for _, scheme := range []string{"light", "dark"} {
			b.show(width, 900, scheme)
			b.inspect(fmt.Sprintf("%d px, %s", width, scheme))
			b.keepPicture(fmt.Sprintf("%d-%s.png", width, scheme))
		}
	}
	b.keepForDocuments(d.dir)

	// The form works without scripts, from the keyboard.
	b.allowScripts(false)
	b.show(360, 640, "light")
	b.open("/")
	ask(b, chromedp.SendKeys(chromedp.ID("client"), "192.0.2.7\r"))
	ask(b, chromedp.WaitVisible(chromedp.ID("found")))
	b.inspect("a client, without scripts")
	if title, url := ask(b, chromedp.Text(chromedp.ID("found-title"))), ask(b, chromedp.Location()); title != "192.0.2.7: suppress" || url != server.URL+"/?client=192.0.2.7" {
		t.Errorf("the form led to %s, with %q", url, title)
	}
	b.keepPicture("client-360.png")
	b.show(1280, 900, "dark")
	b.inspect("a client, wide and dark")
	b.keepPicture("client-1280.png")
	b.open("/?client=" + url.QueryEscape(markup[2]))
	ask(b, chromedp.WaitVisible(chromedp.ID("client-error")))
	if faults := b.takeFaults(); len(faults) != 1 || !strings.Contains(faults[0], "400") { // the status
		t.Errorf("a mistake in the address: %q", faults)
	}
	b.inspect("a mistake in the address")

	// With scripts on again, what others wrote runs nothing.
	b.allowScripts(true)
	d.writeHostile()
	b.open("/?client=203.0.113.66")
	for _, width := range []int64{360, 1280} {
		b.show(width, 900, "light")
		b.inspect(fmt.Sprintf("hostile names, %d px", width))
		b.keepPicture(fmt.Sprintf("hostile-%d.png", width))
	}
}

// keepPicture writes a picture of the whole page, if a directory for it is set.
func (b *browser) keepPicture(name string) {
	b.Helper()
	if dir := os.Getenv(picturesVariable); dir != "" {
		b.writeFile(filepath.Join(dir, name), ask(b, chromedp.FullScreenshot(100)))
	}
}

// keepForDocuments writes the picture for the documentation, if a file for it is set.
func (b *browser) keepForDocuments(dir string) {
	b.Helper()
	if path := os.Getenv(pictureVariable); path != "" {
		b.show(1000, 1180, "light")
		// The directory of the test says nothing to a reader.
		ask(b, chromedp.Evaluate[any](fmt.Sprintf("document.body.innerHTML = document.body.innerHTML.replaceAll(%q, '/etc/ehlogate/lists'); null", dir)))
		b.writeFile(path, ask(b, chromedp.CaptureScreenshot()))
	}
}

func (b *browser) writeFile(path string, data []byte) {
	b.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		b.Fatal(err)
	}
}
