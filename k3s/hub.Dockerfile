# Unverified: never built or run (see README.md beside this file).
FROM node:24-bookworm-slim AS dashboard
WORKDIR /edgeloop
RUN npm install --global pnpm@10.34.9
COPY package.json pnpm-lock.yaml pnpm-workspace.yaml tsconfig.json ./
COPY protocol protocol
COPY dashboard dashboard
RUN pnpm install --frozen-lockfile --filter '@edgeloop/dashboard...' \
 && node -e "import('./dashboard/build.ts').then((m) => m.buildDashboard())"

FROM node:24-bookworm-slim AS build
WORKDIR /edgeloop
RUN npm install --global pnpm@10.34.9
COPY package.json pnpm-lock.yaml pnpm-workspace.yaml tsconfig.json ./
COPY edge-agent/package.json edge-agent/package.json
COPY dashboard/package.json dashboard/build.ts dashboard/
COPY protocol protocol
COPY model-compiler model-compiler
COPY cloud-hub cloud-hub
COPY cli cli
RUN pnpm install --prod --frozen-lockfile --filter '@edgeloop/cloud-hub...' --filter '@edgeloop/cli'
COPY --from=dashboard /edgeloop/dashboard/dist dashboard/dist

FROM node:24-bookworm-slim
WORKDIR /edgeloop
COPY --from=build /edgeloop .
USER node
VOLUME /data
EXPOSE 4180 4181 4182
ENTRYPOINT ["node", "cli/src/main.ts", "hub", "--data", "/data"]
