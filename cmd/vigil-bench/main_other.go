//go:build !linux

// Command vigil-bench measures Vigil. It reads /proc and wants taskset: Linux only.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "vigil-bench: it reads Linux's /proc, so it runs on Linux only")
	os.Exit(2)
}
