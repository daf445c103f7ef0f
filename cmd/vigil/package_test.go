//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestThePackagesSettingsExist holds each setting of the package's vigil.env, those in
// comments too, and of compose.yaml, against the program's.
func TestThePackagesSettingsExist(t *testing.T) {
	for _, file := range []string{"debian/vigil.env", "compose.yaml"} {
		names := regexp.MustCompile(`(?m)^ *#?(VIGIL_[A-Z_]+)[=:]`).FindAllStringSubmatch(ofDeploy(t, file), -1)
		if len(names) < 5 {
			t.Errorf("%s: got %d settings, want some", file, len(names))
		}
		for _, name := range names {
			if code, _, errs := command(t.Context(), []string{name[1] + "=x"}, "version"); code != 0 {
				t.Errorf("%s: %s: got code %d, %s", file, name[1], code, errs)
			}
		}
	}
}

// TestVigilctlReadsSettingsAsTheUnitDoes runs the package's vigilctl with env in vigil's
// place.
func TestVigilctlReadsSettingsAsTheUnitDoes(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("vigilctl is for root")
	}
	dir := t.TempDir()
	settings, script := filepath.Join(dir, "vigil.env"), filepath.Join(dir, "vigilctl")
	text := strings.NewReplacer("exec runuser -u vigil -- /usr/bin/vigil", "exec env", "exec /usr/bin/vigil", "exec env").Replace(ofDeploy(t, "debian/vigilctl"))
	for path, text := range map[string]string{script: text, settings: "# VIGIL_A=1\n\n  VIGIL_B=plain text = more # and this \nVIGIL_C=\"two words\"\nVIGIL_D='$HOME'\n;VIGIL_E=1\nno setting\nVIGIL_F=last"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "sh", script)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "VIGIL_ENV_FILE=" + settings}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	got := strings.Join(regexp.MustCompile(`(?m)^VIGIL_.*$`).FindAllString(string(out), -1), "\n")
	want := "VIGIL_B=plain text = more # and this\nVIGIL_C=two words\nVIGIL_D=$HOME\nVIGIL_F=last"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
