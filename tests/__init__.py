# Keeps `import thermal` from finding tests/thermal: the sub-folders are tests.<package>.
