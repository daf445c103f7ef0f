//go:build linux

package main

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

//go:embed baseline/server.mjs baseline/package.json baseline/package-lock.json
var baselineFiles embed.FS

// errNoNode means that the baseline cannot run here; Vigil can be measured alone.
var errNoNode = errors.New("the published design needs Node 20 or later and npm, which are not here")

// checkNode is errNoNode where the baseline cannot run.
func checkNode(ctx context.Context) error {
	if _, err := exec.LookPath("npm"); err != nil {
		return fmt.Errorf("%w: no npm", errNoNode)
	}
	out, err := exec.CommandContext(ctx, "node", "--version").Output()
	if err != nil {
		return fmt.Errorf("%w: %w", errNoNode, err)
	}
	version := strings.TrimSpace(string(out))
	major, err := strconv.Atoi(strings.TrimPrefix(strings.SplitN(version, ".", 2)[0], "v"))
	if err != nil || major < 20 {
		return fmt.Errorf("%w: this is Node %s", errNoNode, version)
	}
	return nil
}

// installBaseline puts the baseline with its packages, as locked, into the user's cache
// and returns where. It is done once for each version of it.
func installBaseline(ctx context.Context, tell func(string, ...any)) (string, error) {
	if err := checkNode(ctx); err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	files := map[string][]byte{}
	sum := sha256.New()
	for _, name := range []string{"server.mjs", "package.json", "package-lock.json"} {
		b, err := baselineFiles.ReadFile("baseline/" + name)
		if err != nil {
			return "", err
		}
		files[name] = b
		sum.Write(b)
	}
	dir := filepath.Join(cache, "vigil-bench", hex.EncodeToString(sum.Sum(nil)[:8]))
	done := filepath.Join(dir, "installed")
	if _, err := os.Stat(done); err == nil {
		return dir, nil
	}
	tell("installing the baseline's packages (once)")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			return "", err
		}
	}
	cmd := exec.CommandContext(ctx, "npm", "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("install the baseline's packages: %w: %s", err, out)
	}
	return dir, os.WriteFile(done, nil, 0o600)
}
