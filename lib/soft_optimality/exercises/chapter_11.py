EXERCISES: list = []
