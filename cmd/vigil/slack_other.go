//go:build !linux

package main

// slacken is for Linux alone.
func slacken() {}
